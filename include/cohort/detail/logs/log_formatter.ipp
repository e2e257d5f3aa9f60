// SPDX-License-Identifier: MIT
// The bodies of log_formatter.hpp (layer 1).
#pragma once

#include <cohort/detail/logs/log_formatter.hpp>

#include <cohort/detail/config.hpp>

#include <charconv>
#include <cstddef>
#include <string_view>

namespace cohort::detail {

template <class N>
void append_number(std::string& out, N number, int digits = 1) {
    char text[20];
    const auto end = std::to_chars(text, text + sizeof text, number).ptr;
    for (auto missing = digits - (end - text); missing > 0; --missing) out += '0';
    out.append(text, end);
}

COHORT_DECL void append_time(std::string& out, LogFormatter::Time time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::microseconds>(time - day));
    append_number(out, static_cast<int>(date.year()), 4);
    append_number(out += '-', static_cast<unsigned>(date.month()), 2);
    append_number(out += '-', static_cast<unsigned>(date.day()), 2);
    append_number(out += 'T', clock.hours().count(), 2);
    append_number(out += ':', clock.minutes().count(), 2);
    append_number(out += ':', clock.seconds().count(), 2);
    append_number(out += '.', clock.subseconds().count(), 6);
    out += 'Z';
}

/// How long the character at the beginning is in UTF-8 (RFC 3629); 0: there is none.
COHORT_DECL std::size_t length_of_character(std::string_view text) noexcept {
    const auto at = [text](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
    const unsigned lead = at(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    for (std::size_t i = 1; i != length; ++i)
        if ((at(i) & 0xc0U) != 0x80) return 0;
    const unsigned second = at(1);
    const bool is_too_long = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool is_no_character = (lead == 0xed && second >= 0xa0) || (lead == 0xf4 && second >= 0x90);
    return is_too_long || is_no_character ? 0 : length;
}

/// RFC 8259: quotes, backslashes and control characters may not stand in a string as they are.
constexpr bool is_plain(char c) noexcept {
    return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f && c != '"' && c != '\\';
}

COHORT_DECL void append_special(std::string& out, std::string_view& text) {
    constexpr std::string_view digits = "0123456789abcdef";
    constexpr std::string_view replacement = "\xef\xbf\xbd";
    const auto byte = static_cast<unsigned char>(text.front());
    const std::size_t length = length_of_character(text);
    if (byte == '"' || byte == '\\')
        (out += '\\') += text.front();
    else if (length == 1)
        ((out += "\\u00") += digits[byte >> 4]) += digits[byte & 15U];
    else
        out.append(length == 0 ? replacement : text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
}

COHORT_DECL void append_escaped_json(std::string& out, std::string_view text) {
    while (!text.empty()) {
        std::size_t plain = 0;
        while (plain != text.size() && is_plain(text[plain])) ++plain;
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (!text.empty()) append_special(out, text);
    }
}

COHORT_DECL void LogFormatter::begin(const LogSource& source, Time time) {
    const bool is_json = format_ == LogFormat::json;
    head_ = is_json ? "{\"time\":\"" : "";
    append_time(head_, time);
    if (is_json) head_ += '"';
    if (source.worker != 0) {
        append_number(head_ += is_json ? ",\"worker\":" : " worker ", source.worker);
        append_number(head_ += is_json ? ",\"slot\":" : " slot ", source.slot);
    }
    ((head_ += is_json ? ",\"stream\":\"" : " ") += to_string(source.stream)) += is_json ? "\"" : "";
    source_ = source;
    time_ = time;
}

COHORT_DECL void LogFormatter::append(std::string& out, const LogSource& source, Time time, const Line& line) {
    if (head_.empty() || source != source_ || time != time_) begin(source, time);
    out += head_;
    if (format_ == LogFormat::json)
        append_json(out, line);
    else
        append_text(out, line);
}

COHORT_DECL void LogFormatter::append_text(std::string& out, const Line& line) const {
    ((out += line.goes_on ? "+: " : ": ") += line.text) += '\n';
}

COHORT_DECL void LogFormatter::append_json(std::string& out, const Line& line) const {
    append_escaped_json(out += line.goes_on ? ",\"partial\":true,\"text\":\"" : ",\"text\":\"", line.text);
    out += "\"}\n";
}

} // namespace cohort::detail
