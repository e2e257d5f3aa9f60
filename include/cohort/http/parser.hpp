// SPDX-License-Identifier: MIT
// Bytes in, Request out: the sans-I/O parser of the server, on llhttp (layer 1).
#pragma once

#include <cohort/http/detail/parse/chunked.hpp>
#include <cohort/http/limits.hpp>
#include <cohort/http/request.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::http {

/// What became of the bytes given to RequestParser::parse.
enum class ParseEvent : std::uint8_t {
    need_more, ///< all of them are taken, and more are needed
    head,      ///< request() is filled; the body, if any, comes next
    body,      ///< some bytes of the body
    end,       ///< the message is complete; nothing is taken until restart()
    error,     ///< refuse() is the status to answer; the connection is of no more use
};

/// Parses one request after another. It stops after each, so that rubbish behind a valid request cannot touch that one,
/// and its events are the same wherever the bytes are split.
///
/// The head is collected line by line and refused at the first line that breaks a rule (RFC 9112; status as there),
/// then llhttp splits it. Every rule is checked here, so that the answer does not depend on the version of llhttp.
class RequestParser {
public:
    struct Step {
        ParseEvent event = ParseEvent::need_more;
        std::size_t consumed = 0; ///< bytes of the input that are done with
        std::string_view body;    ///< part of the input, with ParseEvent::body
    };

    explicit RequestParser(const Limits& limits) noexcept : limits_(&limits) {}
    RequestParser(const RequestParser&) = delete;
    RequestParser& operator=(const RequestParser&) = delete;

    Step parse(std::string_view input);

    /// Begins the next message; views into request() are no longer valid.
    void restart() noexcept;

    /// Gives the memory of the last request back; as restart().
    void release() noexcept;

    Request& request() noexcept { return request_; }
    const Request& request() const noexcept { return request_; }

    /// The status that the error is to be answered with.
    int refuse() const noexcept { return refuse_; }

    /// Whether part of a head, if only a blank line before it, has been consumed.
    bool inside_head() const noexcept {
        return phase_ == Phase::head && (blank_lines_ != 0 || !request_.fields_.text_.empty());
    }

    /// Whether the message is complete, body and all.
    bool complete() const noexcept { return phase_ == Phase::end; }

    /// Whether the client waits for `100 Continue` before it sends the body.
    bool expects_continue() const noexcept { return request_.expects_continue_; }

    /// How much of the body is to come; nothing when it is chunked.
    std::optional<std::uint64_t> remaining() const noexcept {
        return request_.chunked_ ? std::nullopt : std::optional{remaining_};
    }

private:
    enum class Phase : std::uint8_t { head, body, end, failed };

    Step parse_head(std::string_view input);
    Step parse_body(std::string_view input) noexcept;
    Step fail(int status, std::size_t consumed) noexcept;

    int take(std::string_view part);
    int end_line();
    int take_request_line(std::string_view line);
    int check_field_line(std::string_view line);
    int end_head();

    std::string& text() noexcept { return request_.fields_.text_; }

    const Limits* limits_;
    Request request_;
    detail::ChunkDecoder chunks_;
    std::uint64_t remaining_ = 0;
    std::size_t line_begin_ = 0;
    std::size_t field_lines_ = 0;
    int refuse_ = 0;
    Phase phase_ = Phase::head;
    std::uint8_t blank_lines_ = 0;
    bool begun_ = false;
};

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/parser.ipp>
#endif
