// SPDX-License-Identifier: MIT
// The bodies of body.hpp (layer 1).
#pragma once

#include <cohort/http/body.hpp>

#include <cohort/detail/config.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

namespace cohort::http::detail {

COHORT_LAZY COHORT_DECL Task<std::optional<std::string_view>> no_chunk() { co_return std::nullopt; }

COHORT_LAZY COHORT_DECL Task<> wait_for_ever() {
    asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

template <class Bytes>
Task<Bytes> read_all(BodySource* source, std::uint64_t limit) {
    using Byte = typename Bytes::value_type;
    Bytes all;
    if (source == nullptr) co_return all;
    while (true) {
        const std::optional<std::string_view> chunk = co_await source->read_chunk();
        if (!chunk) co_return all;
        if (chunk->size() > limit - all.size()) throw Error(413);
        const auto* const begin = reinterpret_cast<const Byte*>(chunk->data());
        all.insert(all.end(), begin, begin + chunk->size());
    }
}

} // namespace cohort::http::detail

namespace cohort::http {

COHORT_DECL Task<std::optional<std::string_view>> Body::read() const {
    return source_ != nullptr ? source_->read_chunk() : detail::no_chunk();
}

COHORT_DECL Task<std::string> Body::text(std::uint64_t limit) const {
    return detail::read_all<std::string>(source_, limit);
}

COHORT_DECL Task<std::vector<std::byte>> Body::bytes(std::uint64_t limit) const {
    return detail::read_all<std::vector<std::byte>>(source_, limit);
}

} // namespace cohort::http
