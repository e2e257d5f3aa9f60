// SPDX-License-Identifier: MIT
// The body of the request at hand, as its handler reads it (layer 3).
#pragma once

#include <cohort/http/detail/serve/connection_stream.hpp>
#include <cohort/http/parser.hpp>
#include <cohort/http/status.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace cohort::http::detail {

/// Of one request after the other on one connection.
class BodyReader final : public BodySource {
public:
    BodyReader(ConnectionStream& stream, RequestParser& parser) : stream_(stream), parser_(parser) {}

    Task<std::optional<std::string_view>> read_chunk() override;

    /// Whether reading what the handler left costs more than a new connection. A client that still waits for
    /// `100 Continue` may send its body or not: only the end of the connection is clear to both.
    bool leaves_too_much() const noexcept {
        if (parser_.expects_continue() && !continued_) return true;
        return parser_.remaining().value_or(0) > stream_.server().options().unread_bytes;
    }
    /// Reads over it. False: it is too much, or cannot be trusted.
    Task<bool> skip();
    /// It was refused, or did not come in time.
    bool has_failed() const noexcept { return error_ != 0; }
    /// The status that says so, or 0.
    int failure() const noexcept { return error_; }
    /// For the next request.
    void restart() noexcept {
        received_ = waited_ = 0;
        error_ = 0;
        continued_ = false;
    }

private:
    /// More than this to come, and it is read in large pieces.
    static constexpr std::size_t much = 16 * 1024;

    Task<> read_bytes();

    ConnectionStream& stream_;
    RequestParser& parser_;
    std::uint64_t received_ = 0;
    std::uint64_t waited_ = 0; ///< ticks spent waiting for it; what the handler takes does not count
    int error_ = 0;            ///< the status that says so
    bool continued_ = false;   ///< `100 Continue` was sent, or is not needed any more
};

inline Task<std::optional<std::string_view>> BodyReader::read_chunk() {
    while (!parser_.complete()) {
        if (error_ != 0) throw Error(error_);
        const auto step = parser_.parse(stream_.received());
        stream_.consume(step.consumed);
        if (step.event == ParseEvent::body) {
            continued_ = true;
            co_return step.body;
        }
        if (step.event == ParseEvent::error) error_ = parser_.refuse();
        if (step.event == ParseEvent::need_more) co_await read_bytes();
    }
    co_return std::nullopt;
}

inline Task<> BodyReader::read_bytes() {
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

inline Task<bool> BodyReader::skip() {
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
