// SPDX-License-Identifier: MIT
// The body of the request at hand, as its handler reads it (layer 3).
#pragma once

#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/http/detail/serve/connection_stream.hpp>
#include <cohort/http/parser.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cohort::http::detail {

/// One for each connection, used for one request after the other.
class BodyReader final : public BodySource {
public:
    BodyReader(ConnectionStream& stream, RequestParser& parser) : stream_(stream), parser_(parser) {}

    COHORT_DECL Task<std::optional<std::string_view>> read_chunk() override;

    /// Whether reading what the handler left costs more than a new connection. A client that still waits for
    /// `100 Continue` may send its body or not: only closing the connection is unambiguous.
    bool leaves_too_much() const noexcept {
        if (parser_.expects_continue() && !continued_) return true;
        return parser_.remaining().value_or(0) > stream_.server().options().unread_bytes;
    }
    /// Reads and discards the rest. False when that is too much or malformed, and the connection has to close.
    Task<bool> skip();
    /// The final answer has begun: `100 Continue` would stand within it (RFC 9110 section 10.1.1).
    void answer_begins() noexcept { continued_ = true; }
    /// Whether the body was refused or did not arrive in time.
    bool has_failed() const noexcept { return error_ != 0; }
    /// The status to answer that with, or 0.
    int failure() const noexcept { return error_; }
    /// Prepares for the next request.
    void restart() noexcept;

private:
    /// When more than this is still to come, it is read in large pieces.
    static constexpr std::size_t much = 16 * 1024;

    Task<> read_bytes();

    ConnectionStream& stream_;
    RequestParser& parser_;
    std::uint64_t received_ = 0;
    std::uint64_t waited_ = 0;        ///< ticks spent waiting for the body, without the handler's own time
    int error_ = 0;                   ///< see failure()
    cohort::detail::TurnBudget turn_; ///< of pieces that came at once
    bool continued_ = false;          ///< `100 Continue` was sent, or is not needed any more
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/body_reader.ipp>
#endif
