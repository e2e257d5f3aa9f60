// SPDX-License-Identifier: MIT
// Bytes in, Request out: the sans-I/O parser of the server, on llhttp (layer 1).
#pragma once

#include <cohort/http/detail/chunked.hpp>
#include <cohort/http/detail/request_line.hpp>
#include <cohort/http/detail/text.hpp>
#include <cohort/http/limits.hpp>
#include <cohort/http/request.hpp>

#include <llhttp.h>

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
    struct Splitter;

    Step parse_head(std::string_view input);
    Step parse_body(std::string_view input) noexcept;
    Step fail(int status, std::size_t consumed) noexcept;

    int take(std::string_view part);
    int end_line();
    int take_request_line(std::string_view line);
    int check_field_line(std::string_view line);
    int end_head();
    int check_fields();
    void replace_host(Fields::Entry& entry) noexcept;
    int check_framing(const Fields::Entry* length, const Fields::Entry* coding);
    int check_length(const Fields::Entry& entry);
    int check_coding(const Fields::Entry& entry);
    void note_connection(std::string_view list) noexcept;

    std::string& text() noexcept { return request_.fields_.text_; }
    std::string_view view(std::uint32_t begin, std::uint32_t size) noexcept { return request_.view(begin, size); }

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
    bool wants_close_ = false;
    bool wants_keep_alive_ = false;
};

/// llhttp's callbacks: each gives a part of the head as pointers into it, kept here as offsets.
struct RequestParser::Splitter {
    const char* base;
    std::vector<Fields::Entry>& entries;
    bool in_value = true;

    static std::uint32_t size(std::size_t length) noexcept { return static_cast<std::uint32_t>(length); }
    static Splitter& of(llhttp_t* parser) noexcept { return *static_cast<Splitter*>(parser->data); }

    static int on_name(llhttp_t* parser, const char* at, std::size_t length) noexcept {
        Splitter& self = of(parser);
        if (self.in_value) {
            self.entries.emplace_back();
            self.entries.back().name = size(static_cast<std::size_t>(at - self.base));
        }
        self.in_value = false;
        Fields::Entry& entry = self.entries.back();
        entry.name_size += size(length);
        entry.value = entry.name + entry.name_size;
        return 0;
    }

    static int on_value(llhttp_t* parser, const char* at, std::size_t length) noexcept {
        Splitter& self = of(parser);
        Fields::Entry& entry = self.entries.back();
        if (!self.in_value) entry.value = size(static_cast<std::size_t>(at - self.base));
        self.in_value = true;
        entry.value_size += size(length);
        return 0;
    }

    static int on_value_complete(llhttp_t* parser) noexcept {
        of(parser).in_value = true;
        return 0;
    }

    static int on_head(llhttp_t*) noexcept { return HPE_PAUSED; }

    static const llhttp_settings_t& settings() noexcept {
        static const llhttp_settings_t settings = [] {
            llhttp_settings_t made;
            llhttp_settings_init(&made);
            made.on_header_field = &on_name;
            made.on_header_value = &on_value;
            made.on_header_value_complete = &on_value_complete;
            made.on_headers_complete = &on_head;
            return made;
        }();
        return settings;
    }
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
    begun_ = wants_close_ = wants_keep_alive_ = false;
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
    Splitter splitter{text().data(), request_.fields_.entries_};
    splitter.entries.reserve(field_lines_); // no callback may throw through llhttp
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &Splitter::settings());
    parser.data = &splitter;
    const llhttp_errno_t error = llhttp_execute(&parser, text().data(), text().size());
    if (const int status = check_fields(); status != 0) return status;
    if (error != HPE_PAUSED || splitter.entries.size() != field_lines_) return 400;
    phase_ = request_.has_body() ? Phase::body : Phase::end;
    return 0;
}

inline int RequestParser::check_fields() {
    const Fields::Entry* length = nullptr;
    const Fields::Entry* coding = nullptr;
    bool host = false;
    bool other_expectation = false;
    for (Fields::Entry& entry : request_.fields_.entries_) {
        const std::string_view name = view(entry.name, entry.name_size);
        const std::string_view value = detail::trim(view(entry.value, entry.value_size));
        entry.value_size = static_cast<std::uint32_t>(value.size()); // llhttp leaves white space at the end only
        switch (name.size()) {
            case 4:
                if (!detail::equal_ignoring_case(name, "host")) break;
                if (host || !detail::is_host(value)) return 400;
                host = true;
                if (request_.target()[0] != '/') replace_host(entry);
                break;
            case 6:
                if (!detail::equal_ignoring_case(name, "expect")) break;
                if (detail::equal_ignoring_case(value, "100-continue"))
                    request_.expects_continue_ = true;
                else
                    other_expectation = true;
                break;
            case 10:
                if (detail::equal_ignoring_case(name, "connection")) note_connection(value);
                break;
            case 14:
                if (!detail::equal_ignoring_case(name, "content-length")) break;
                if (length != nullptr) return 400;
                length = &entry;
                break;
            case 17:
                if (!detail::equal_ignoring_case(name, "transfer-encoding")) break;
                if (coding != nullptr) return 400;
                coding = &entry;
                break;
            default: break;
        }
    }
    if (!host && request_.version_minor_ == 1) return 400;
    request_.keep_alive_ = !wants_close_ && (request_.version_minor_ == 1 || wants_keep_alive_);
    if (const int status = check_framing(length, coding); status != 0) return status;
    if (request_.version_minor_ == 0) request_.expects_continue_ = false;
    return other_expectation ? 417 : 0;
}

/// The host of an absolute target is meant, whatever the field says (RFC 9112 section 3.2.2).
inline void RequestParser::replace_host(Fields::Entry& entry) noexcept {
    const std::string_view authority = detail::authority_of(request_.target());
    if (authority.empty()) return;
    entry.value = static_cast<std::uint32_t>(authority.data() - text().data());
    entry.value_size = static_cast<std::uint32_t>(authority.size());
}

inline void RequestParser::note_connection(std::string_view list) noexcept {
    while (!list.empty()) {
        const std::string_view option = detail::trim(detail::take_until(list, ','));
        if (detail::equal_ignoring_case(option, "close")) wants_close_ = true;
        if (detail::equal_ignoring_case(option, "keep-alive")) wants_keep_alive_ = true;
    }
}

/// RFC 9112 section 6.3, without the latitude it gives: a body that two readers could frame differently is refused.
inline int RequestParser::check_framing(const Fields::Entry* length, const Fields::Entry* coding) {
    if (length != nullptr && coding != nullptr) return 400;
    if (coding != nullptr) return check_coding(*coding);
    if (length != nullptr) return check_length(*length);
    return 0;
}

inline int RequestParser::check_coding(const Fields::Entry& entry) {
    if (request_.version_minor_ == 0) return 400;
    const std::string_view value = view(entry.value, entry.value_size);
    if (!detail::is_token(value)) return 400;
    const std::uint32_t name_end = entry.name + entry.name_size;
    const std::string_view before = view(name_end, entry.value - name_end);
    if ((before != ": " && before != ":") || text()[entry.value + entry.value_size] != '\r') return 400;
    if (!detail::equal_ignoring_case(value, "chunked")) return 501;
    request_.chunked_ = true;
    chunks_.reset();
    return 0;
}

inline int RequestParser::check_length(const Fields::Entry& entry) {
    const std::string_view value = view(entry.value, entry.value_size);
    // A tab behind the digits is white space like any other to some versions of llhttp, and an error to others.
    const std::size_t end = text().find_first_not_of(' ', entry.value + entry.value_size);
    if (value.empty() || text()[end] != '\r') return 400;
    std::uint64_t length = 0;
    for (const char c : value) {
        if (!detail::is_digit(c)) return 400;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (length > (UINT64_MAX - digit) / 10) return 400;
        length = length * 10 + digit;
    }
    if (length > limits_->body) return 413;
    request_.content_length_ = remaining_ = length;
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
