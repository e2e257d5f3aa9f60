// SPDX-License-Identifier: MIT
// The body of a response that its handler writes piece by piece (layer 3).
#pragma once

#include <cohort/http/detail/respond/response_head.hpp>
#include <cohort/http/detail/serve/connection_stream.hpp>
#include <cohort/http/response.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace cohort::http::detail {

/// Of one response after the other on one connection.
class BodyStream final : public BodySink {
public:
    explicit BodyStream(ConnectionStream& stream) : stream_(stream) {}

    /// `length`: what the head says of it, if it does.
    void begin(std::optional<std::uint64_t> length, bool chunked) noexcept {
        left_ = length;
        written_ = 0;
        chunked_ = chunked;
    }
    /// Has it written. Throws what the producer does, and when that was not as much as the head says.
    Task<> run(const Producer& producer);
    /// So far, or until it failed.
    std::uint64_t written() const noexcept { return written_; }
    Task<> write_chunk(std::string_view bytes) override;
    bool draining() const noexcept override { return stream_.server().draining(); }

private:
    /// After so many bytes it is the turn of others: a client that takes everything at once must not keep them waiting.
    static constexpr std::uint64_t turn = 256 * 1024;

    bool turn_ended(std::uint64_t count) const noexcept { return written_ / turn != (written_ - count) / turn; }
    Task<> yield() { return asio::post(stream_.executor(), asio::use_awaitable); }
    Task<> send_by_turns(std::string_view bytes);

    ConnectionStream& stream_;
    std::uint64_t written_ = 0;
    std::optional<std::uint64_t> left_;
    bool chunked_ = false;
};

inline Task<> BodyStream::run(const Producer& producer) {
    BodyWriter writer(*this);
    try {
        Task<> writing = producer(writer);
        co_await std::move(writing);
    } catch (const std::system_error&) {
        throw;
    } catch (const std::exception& error) {
        stream_.server().log(error.what());
        throw;
    }
    if (chunked_) stream_.out().append("0\r\n\r\n");
    if (left_.value_or(0) == 0) co_return;
    stream_.server().log("a streamed body is shorter than its declared length");
    throw std::length_error("http::stream");
}

inline Task<> BodyStream::write_chunk(std::string_view bytes) {
    if (bytes.empty()) co_return;
    if (left_) {
        if (bytes.size() > *left_) throw std::length_error("a streamed body is longer than its declared length");
        *left_ -= bytes.size();
    }
    written_ += bytes.size();
    std::string& out = stream_.out();
    if (chunked_) {
        append_number(out, bytes.size(), 16);
        out.append("\r\n");
    }
    const bool copied = bytes.size() <= ConnectionStream::usual_room;
    if (copied)
        out.append(bytes);
    else
        co_await send_by_turns(bytes);
    if (chunked_) out.append("\r\n");
    if (!copied) co_return;
    co_await stream_.send();
    if (turn_ended(bytes.size())) co_await yield();
}

inline Task<> BodyStream::send_by_turns(std::string_view bytes) {
    while (!bytes.empty()) {
        const std::string_view part = bytes.substr(0, turn);
        co_await stream_.send(part);
        bytes.remove_prefix(part.size());
        if (!bytes.empty() || turn_ended(part.size())) co_await yield();
    }
}

} // namespace cohort::http::detail
