// SPDX-License-Identifier: MIT
// The bodies of body_reader.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/body_reader.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/status.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <system_error>

namespace cohort::http::detail {

COHORT_DECL void BodyReader::restart() noexcept {
    received_ = waited_ = 0;
    error_ = 0;
    continued_ = false;
}

COHORT_DECL Task<std::optional<std::string_view>> BodyReader::read_chunk() {
    if (turn_.is_over()) {
        co_await turn_.let_others_go_on();
    }
    while (!parser_.complete()) {
        if (error_ != 0) throw Error(error_);
        const auto step = parser_.parse(stream_.received());
        stream_.consume(step.consumed);
        if (step.event == ParseEvent::body) {
            continued_ = true;
            co_return step.body;
        }
        if (step.event == ParseEvent::error) error_ = parser_.refuse();
        if (step.event == ParseEvent::need_more) {
            co_await read_bytes();
            turn_.begin();
        }
    }
    co_return std::nullopt;
}

COHORT_DECL Task<> BodyReader::read_bytes() {
    if (parser_.expects_continue() && !continued_) stream_.out().append("HTTP/1.1 100 Continue\r\n\r\n");
    continued_ = true;
    if (stream_.unsent()) co_await stream_.send();
    const Server& server = stream_.server();
    const std::uint64_t begun = server.after(0);
    const std::uint64_t patience = server.ticks_for().body + server.ticks_at_body_rate(received_);
    const std::uint64_t left = patience - std::min(patience, waited_);
    const std::size_t room = parser_.remaining().value_or(much) >= much ? 65536 : ConnectionStream::usual_room;
    std::error_code error;
    const std::size_t count =
        co_await stream_.read(Waiting::body, begun + std::min(server.ticks_for().body, left), room, error);
    waited_ += server.after(0) - begun;
    received_ += count;
    if (count == 0) error_ = error == asio::error::timed_out ? 408 : 400;
}

COHORT_DECL Task<bool> BodyReader::skip() {
    std::size_t skipped = 0;
    try {
        while (skipped <= stream_.server().options().unread_bytes) {
            const std::optional<std::string_view> chunk = co_await read_chunk();
            if (!chunk) co_return true;
            skipped += chunk->size();
        }
    } catch (const Error&) { // The answer is on its way already; what follows cannot be trusted.
    }
    co_return false;
}

} // namespace cohort::http::detail
