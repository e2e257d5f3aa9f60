// SPDX-License-Identifier: MIT
// The bodies of access_log.hpp (layer 1).
#pragma once

#include <cohort/http/access_log.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/respond/date.hpp>
#include <cohort/http/method.hpp>
#include <cohort/http/request.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace cohort::http::detail {

COHORT_DECL void append_octet(std::string& out, std::string_view escape, char octet) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(octet);
    out.append(escape);
    out += digits[value >> 4];
    out += digits[value & 15];
}

COHORT_DECL void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        if (plain)
            out += c;
        else
            append_octet(out, "\\x", c);
    }
}

/// The octets of the character at the front of `text`, if that is valid UTF-8 past U+009F; else 0.
COHORT_DECL std::size_t character_size(std::string_view text) noexcept {
    const auto octet = [text](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : std::uint8_t{0};
    };
    const unsigned lead = octet(0);
    const std::size_t size = lead >= 0xc2 && lead < 0xe0   ? 2
                             : lead >= 0xe0 && lead < 0xf0 ? 3
                             : lead >= 0xf0 && lead < 0xf5 ? 4
                                                           : 0;
    for (std::size_t at = 1; at < size; ++at)
        if ((octet(at) & 0xc0) != 0x80) return 0;
    // Overlong forms, surrogates, code points past U+10FFFF, and the C1 control characters.
    const unsigned second = octet(1);
    const bool wrong = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                       (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f) ||
                       (lead == 0xc2 && second < 0xa0);
    return wrong ? 0 : size;
}

COHORT_DECL void append_json_text(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        std::size_t size = character_size(text);
        const char c = text[0];
        if (c >= 0x20 && c < 0x7f) size = 1;
        if (size == 1 && (c == '"' || c == '\\')) out += '\\';
        if (size == 0) append_octet(out, "\\u00", c);
        out.append(text.substr(0, size));
        text.remove_prefix(size == 0 ? 1 : size);
    }
    out += '"';
}

/// "10/Oct/2000:13:55:36 +0000"
COHORT_DECL void append_log_time(std::string& out, std::chrono::system_clock::time_point time) {
    const CivilTime civil = to_civil(std::chrono::system_clock::to_time_t(time));
    append_padded(out, civil.day, 2);
    out.append("/").append(month_names.substr(static_cast<std::size_t>(civil.month) * 3, 3)).append("/");
    append_padded(out, civil.year, 4);
    append_clock(out += ':', civil);
    out.append(" +0000");
}

/// "2000-10-10T13:55:36.000Z" (RFC 3339)
COHORT_DECL void append_timestamp(std::string& out, std::chrono::system_clock::time_point time) {
    const auto second = std::chrono::floor<std::chrono::seconds>(time);
    const CivilTime civil = to_civil(std::chrono::system_clock::to_time_t(second));
    append_padded(out, civil.year, 4);
    append_padded(out += '-', civil.month + 1, 2);
    append_padded(out += '-', civil.day, 2);
    append_clock(out += 'T', civil);
    const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(time - second);
    append_padded(out += '.', static_cast<int>(rest.count()), 3);
    out += 'Z';
}

COHORT_DECL std::string_view version_of(const Request& request) noexcept {
    return request.version_minor() == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

COHORT_DECL void append_quoted_field(std::string& out, const Request* request, std::string_view name) {
    out.append(" \"");
    append_escaped(out, request != nullptr ? request->header(name).value_or("-") : "-");
    out += '"';
}

COHORT_DECL void append_json_member(std::string& out, std::string_view name, std::string_view text) {
    out.append(",\"").append(name).append("\":");
    append_json_text(out, text);
}

} // namespace cohort::http::detail

namespace cohort::http {

COHORT_DECL std::string to_common(const Access& access) {
    std::string line;
    detail::append_escaped(line, access.client.empty() ? "-" : access.client);
    detail::append_log_time(line.append(" - - ["), access.begun);
    line.append("] \"");
    if (const Request* const request = access.request) {
        line.append(to_string(request->method())).append(" ");
        detail::append_escaped(line, request->target());
        line.append(" ").append(detail::version_of(*request));
    } else {
        line += '-';
    }
    line.append("\" ").append(std::to_string(access.status)).append(" ");
    return line.append(access.bytes == 0 ? "-" : std::to_string(access.bytes));
}

COHORT_DECL std::string to_combined(const Access& access) {
    std::string line = to_common(access);
    detail::append_quoted_field(line, access.request, "referer");
    detail::append_quoted_field(line, access.request, "user-agent");
    return line;
}

COHORT_DECL std::string to_json(const Access& access) {
    using std::chrono::duration_cast;
    std::string line = "{\"time\":\"";
    detail::append_timestamp(line, access.begun);
    line += '"';
    detail::append_json_member(line, "client", access.client);
    if (const Request* const request = access.request) {
        detail::append_json_member(line, "method", to_string(request->method()));
        detail::append_json_member(line, "target", request->target());
        detail::append_json_member(line, "version", detail::version_of(*request));
    }
    line.append(",\"status\":").append(std::to_string(access.status));
    line.append(",\"bytes\":").append(std::to_string(access.bytes));
    const auto took = duration_cast<std::chrono::microseconds>(access.took);
    line.append(",\"took_us\":").append(std::to_string(took.count()));
    for (const std::string_view name : {"host", "referer", "user-agent"}) {
        const auto value = access.request != nullptr ? access.request->header(name) : std::nullopt;
        if (value) detail::append_json_member(line, name == "user-agent" ? "user_agent" : name, *value);
    }
    return line.append("}");
}

} // namespace cohort::http
