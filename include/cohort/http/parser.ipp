// SPDX-License-Identifier: MIT
// The bodies of parser.hpp (layer 1).
#pragma once

#include <cohort/http/parser.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/field_rules.hpp>
#include <cohort/http/detail/parse/field_splitter.hpp>
#include <cohort/http/detail/parse/request_line.hpp>
#include <cohort/http/detail/parse/text.hpp>

#include <algorithm>
#include <utility>

namespace cohort::http {

COHORT_DECL RequestParser::Step RequestParser::parse(std::string_view input) {
    switch (phase_) {
        case Phase::head: return parse_head(input);
        case Phase::body: return parse_body(input);
        case Phase::end: return {ParseEvent::end, 0, {}};
        case Phase::failed: break;
    }
    return {ParseEvent::error, 0, {}};
}

COHORT_DECL void RequestParser::restart() noexcept {
    request_.fields_.clear();
    request_.parameters_.list.clear();
    request_.target_size_ = request_.path_size_ = request_.query_size_ = 0;
    request_.target_begin_ = request_.path_begin_ = request_.query_begin_ = 0;
    request_.method_ = Method::get;
    request_.version_minor_ = 1;
    request_.content_length_ = 0;
    request_.chunked_ = request_.expects_continue_ = false;
    remaining_ = 0;
    line_begin_ = field_lines_ = 0;
    blank_lines_ = 0;
    begun_ = false;
    if (phase_ != Phase::failed) phase_ = Phase::head;
}

COHORT_DECL void RequestParser::release() noexcept {
    restart();
    Fields fresh;
    std::swap(request_.fields_, fresh); // assigning it would keep the memory of the text
    request_.parameters_ = {};
}

COHORT_DECL RequestParser::Step RequestParser::fail(int status, std::size_t consumed) noexcept {
    refuse_ = status;
    phase_ = Phase::failed;
    return {ParseEvent::error, consumed, {}};
}

COHORT_DECL RequestParser::Step RequestParser::parse_head(std::string_view input) {
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

/// Appends a part of a line, which may end with its LF. Bytes are checked in order, wherever the input was split.
COHORT_DECL int RequestParser::take(std::string_view part) {
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

COHORT_DECL int RequestParser::end_line() {
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

COHORT_DECL int RequestParser::take_request_line(std::string_view text) {
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
COHORT_DECL int RequestParser::check_field_line(std::string_view line) {
    if (++field_lines_ > limits_->fields) return 431;
    const std::size_t colon = line.find(':');
    return colon != std::string_view::npos && detail::is_token(line.substr(0, colon)) ? 0 : 400;
}

COHORT_DECL int RequestParser::end_head() {
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

COHORT_DECL RequestParser::Step RequestParser::parse_body(std::string_view input) noexcept {
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
