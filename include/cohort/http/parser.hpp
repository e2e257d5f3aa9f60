// SPDX-License-Identifier: MIT
// Bytes in, Request out: the sans-I/O parser of the server, on llhttp (layer 1).
#pragma once

#include <cohort/http/detail/parse/chunked.hpp>
#include <cohort/http/detail/parse/field_rules.hpp>
#include <cohort/http/detail/parse/field_splitter.hpp>
#include <cohort/http/detail/parse/request_line.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/limits.hpp>
#include <cohort/http/request.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

    /// Begins the next message; what request() gave until now is gone.
    void restart() noexcept;

    /// Gives the memory of the last request back; as restart().
    void release() noexcept;

    Request& request() noexcept { return request_; }
    const Request& request() const noexcept { return request_; }

    /// The status that the error is to be answered with.
    int refuse() const noexcept { return refuse_; }

    /// Whether bytes of a message have been taken whose head is not complete.
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

inline RequestParser::Step RequestParser::parse(std::string_view input) {
    switch (phase_) {
        case Phase::head: return parse_head(input);
        case Phase::body: return parse_body(input);
        case Phase::end: return {ParseEvent::end, 0, {}};
        case Phase::failed: break;
    }
    return {ParseEvent::error, 0, {}};
}

inline void RequestParser::restart() noexcept {
    request_.fields_.clear();
    request_.parameters_.list.clear();
    request_.target_size_ = request_.path_size_ = request_.query_size_ = 0;
    request_.target_begin_ = request_.path_begin_ = request_.query_begin_ = 0;
    request_.content_length_ = 0;
    request_.chunked_ = request_.expects_continue_ = false;
    remaining_ = 0;
    line_begin_ = field_lines_ = 0;
    blank_lines_ = 0;
    begun_ = false;
    if (phase_ != Phase::failed) phase_ = Phase::head;
}

inline void RequestParser::release() noexcept {
    restart();
    Fields fresh;
    std::swap(request_.fields_, fresh); // assigning it would keep the memory of the text
    request_.parameters_ = {};
}

inline RequestParser::Step RequestParser::fail(int status, std::size_t consumed) noexcept {
    refuse_ = status;
    phase_ = Phase::failed;
    return {ParseEvent::error, consumed, {}};
}

inline RequestParser::Step RequestParser::parse_head(std::string_view input) {
    std::size_t consumed = 0;
    while (consumed != input.size()) {
        const std::string_view rest = input.substr(consumed);
        const std::size_t newline = rest.find('\n');
        const bool whole = newline != std::string_view::npos;
        const std::string_view part = whole ? rest.substr(0, newline + 1) : rest;
        consumed += part.size();
        int status = take(part);
        if (status == 0 && whole) status = end_line();
        if (status != 0) return fail(status, consumed);
        if (phase_ != Phase::head) return {ParseEvent::head, consumed, {}};
    }
    return {ParseEvent::need_more, consumed, {}};
}

/// Appends a part of a line, its end at most last. Bytes are judged in their order, whichever way they were split.
inline int RequestParser::take(std::string_view part) {
    const std::size_t line = text().size() - line_begin_;
    const bool first = line_begin_ == 0;
    // A request line within the target's limit needs at most this much more: the longest method, spaces, version, CRLF.
    const std::size_t line_limit = first ? limits_->target + 32 : limits_->field;
    const std::size_t line_room = line_limit - std::min(line_limit, line);
    const std::size_t head_room = limits_->head - std::min(limits_->head, text().size());
    const std::size_t room = std::min(line_room, head_room);
    const bool ended = part.back() == '\n';
    const std::string_view judged = part.substr(0, std::min(room, part.size() - (ended ? 1 : 0)));
    for (const char c : judged)
        if (!detail::is(c, detail::char_line) && c != '\r') return 400;
    if (part.size() > room) return first && line_room <= head_room ? 414 : 431;
    text().append(part);
    return 0;
}

inline int RequestParser::end_line() {
    std::string_view line = std::string_view{text()}.substr(line_begin_);
    if (line.size() < 2 || line.find('\r') != line.size() - 2) return 400;
    line.remove_suffix(2);
    if (!begun_ && line.empty()) {
        text().clear();
        return ++blank_lines_ > 2 ? 400 : 0;
    }
    int status = 0;
    if (!begun_)
        status = take_request_line(line);
    else
        status = line.empty() ? end_head() : check_field_line(line);
    begun_ = true;
    line_begin_ = text().size();
    return status;
}

inline int RequestParser::take_request_line(std::string_view text) {
    detail::RequestLine line;
    const int status = detail::split_request_line(text, limits_->target, line);
    if (status != 0) return status;
    const auto offset = [text](std::string_view part) {
        return part.empty() ? 0 : static_cast<std::uint32_t>(part.data() - text.data());
    };
    const auto size = [](std::string_view part) { return static_cast<std::uint32_t>(part.size()); };
    request_.method_ = line.method;
    request_.version_minor_ = line.version_minor;
    request_.target_begin_ = offset(line.target), request_.target_size_ = size(line.target);
    request_.path_begin_ = offset(line.path), request_.path_size_ = size(line.path);
    request_.query_begin_ = offset(line.query), request_.query_size_ = size(line.query);
    return 0;
}

/// Folded lines, spaces around the name and empty names all show as a name that is not a token.
inline int RequestParser::check_field_line(std::string_view line) {
    if (++field_lines_ > limits_->fields) return 431;
    const std::size_t colon = line.find(':');
    return colon != std::string_view::npos && detail::is_token(line.substr(0, colon)) ? 0 : 400;
}

inline int RequestParser::end_head() {
    const bool split = detail::split_fields(text(), field_lines_, request_.fields_.entries_);
    detail::HeadFacts facts;
    facts.authority = detail::authority_of(request_.target());
    facts.version_minor = request_.version_minor_;
    const int status = detail::check_fields(text(), request_.fields_.entries_, *limits_, facts);
    if (status != 0) return status;
    if (!split) return 400;
    request_.keep_alive_ = facts.keep_alive();
    request_.expects_continue_ = facts.expects_continue;
    request_.chunked_ = facts.chunked;
    request_.content_length_ = remaining_ = facts.length;
    if (facts.chunked) chunks_.reset();
    phase_ = request_.has_body() ? Phase::body : Phase::end;
    return 0;
}

inline RequestParser::Step RequestParser::parse_body(std::string_view input) noexcept {
    Step step;
    if (request_.chunked_) {
        const auto decoded = chunks_.next(input, *limits_);
        if (decoded.status != 0) return fail(decoded.status, decoded.consumed);
        step.consumed = decoded.consumed;
        step.body = decoded.data;
        if (chunks_.done()) phase_ = Phase::end;
    } else {
        step.body = input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size())));
        step.consumed = step.body.size();
        remaining_ -= step.consumed;
        if (remaining_ == 0) phase_ = Phase::end;
    }
    if (!step.body.empty())
        step.event = ParseEvent::body;
    else if (phase_ == Phase::end)
        step.event = ParseEvent::end;
    return step;
}

} // namespace cohort::http
