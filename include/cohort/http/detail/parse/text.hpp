// SPDX-License-Identifier: MIT
// Characters and small texts of HTTP: tokens, case-insensitive comparison, percent-decoding (layer 1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cohort::http::detail {

enum CharClass : std::uint8_t {
    char_token = 1,    ///< tchar, RFC 9110 section 5.6.2
    char_line = 2,     ///< may stand in a line of a head: HTAB, SP, visible, obs-text
    char_target = 4,   ///< may stand in a request target: visible ASCII except '#'
    char_reg_name = 8, ///< may stand in the host of a Host field, RFC 3986 section 3.2.2
};

constexpr std::array<std::uint8_t, 256> make_char_classes() noexcept {
    std::array<std::uint8_t, 256> classes{};
    const auto add = [&classes](std::string_view chars, int bits) {
        for (const char c : chars) classes[static_cast<unsigned char>(c)] |= static_cast<std::uint8_t>(bits);
    };
    add("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", char_token | char_reg_name);
    add("!#$%&'*+-.^_`|~", char_token);
    add("-._~%!$&'()*+,;=", char_reg_name);
    add("\t", char_line);
    for (std::size_t c = 0x20; c != 0x100; ++c)
        if (c != 0x7f) classes[c] |= char_line;
    for (std::size_t c = 0x21; c != 0x7f; ++c)
        if (c != '#') classes[c] |= char_target;
    return classes;
}

inline constexpr std::array<std::uint8_t, 256> char_classes = make_char_classes();

constexpr bool is(char c, CharClass which) noexcept {
    return (char_classes[static_cast<unsigned char>(c)] & which) != 0;
}

constexpr bool all_are(std::string_view text, CharClass which) noexcept {
    for (const char c : text)
        if (!is(c, which)) return false;
    return true;
}

constexpr bool is_token(std::string_view text) noexcept { return !text.empty() && all_are(text, char_token); }
constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; } // OWS, RFC 9110 section 5.6.3
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i != a.size(); ++i)
        if (to_lower(a[i]) != to_lower(b[i])) return false;
    return true;
}

/// Without the spaces and tabs at both ends.
constexpr std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

/// Takes the part before the next `separator` off the front of `text`.
constexpr std::string_view take_until(std::string_view& text, char separator) noexcept {
    const std::size_t end = text.find(separator);
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) noexcept {
    if (is_digit(c)) return c - '0';
    const char lower = to_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The octet at the front of `text`, decoded, which is taken off. A '%' without two hexadecimal digits stands for
/// itself.
constexpr char take_decoded(std::string_view& text) noexcept {
    if (text[0] == '%' && text.size() > 2 && hex_value(text[1]) >= 0 && hex_value(text[2]) >= 0) {
        const char octet = static_cast<char>(hex_value(text[1]) * 16 + hex_value(text[2]));
        text.remove_prefix(3);
        return octet;
    }
    const char octet = text[0];
    text.remove_prefix(1);
    return octet;
}

/// Whether `encoded`, percent-decoded, is `plain`.
constexpr bool decodes_to(std::string_view encoded, std::string_view plain) noexcept {
    if (encoded == plain) return true;
    if (encoded.find('%') == std::string_view::npos) return false;
    while (!encoded.empty() && !plain.empty()) {
        if (take_decoded(encoded) != plain[0]) return false;
        plain.remove_prefix(1);
    }
    return encoded.empty() && plain.empty();
}

/// Percent-decoded (RFC 3986 section 2.1); in a query '+' stands for a space, as forms write it.
inline std::string decode(std::string_view text, bool plus_is_space) {
    std::string plain;
    plain.reserve(text.size());
    while (!text.empty()) {
        const bool space = plus_is_space && text[0] == '+';
        const char octet = take_decoded(text);
        plain += space ? ' ' : octet;
    }
    return plain;
}

} // namespace cohort::http::detail
