// SPDX-License-Identifier: MIT
// The request line, checked and split (layer 1).
#pragma once

#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/method.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace cohort::http::detail {

/// A registered name or an IPv4 address, RFC 3986 section 3.2.2.
constexpr bool is_reg_name(std::string_view text) noexcept {
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (!is(text[i], char_reg_name)) return false;
        if (text[i] != '%') continue;
        if (text.size() - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) return false;
    }
    return !text.empty();
}

/// What stands between the brackets: an IPv6 address, or a version and an address that nobody has defined yet.
inline bool is_ip_literal(std::string_view text) noexcept {
    if (text.starts_with('v') || text.starts_with('V')) {
        const std::size_t dot = text.find('.');
        if (dot == std::string_view::npos || dot < 2 || dot + 1 == text.size()) return false;
        for (const char c : text.substr(1, dot - 1))
            if (hex_value(c) < 0) return false;
        for (const char c : text.substr(dot + 1))
            if ((!is(c, char_reg_name) && c != ':') || c == '%') return false;
        return true;
    }
    char address[INET6_ADDRSTRLEN];
    if (text.size() >= sizeof address) return false;
    *std::copy(text.begin(), text.end(), address) = '\0';
    in6_addr unused;
    return text.find('\0') == std::string_view::npos && ::inet_pton(AF_INET6, address, &unused) == 1;
}

/// Up to 65535, or empty.
constexpr bool is_port(std::string_view text) noexcept {
    unsigned port = 0;
    if (text.size() > 5) return false;
    for (const char c : text) {
        if (!is_digit(c)) return false;
        port = port * 10 + static_cast<unsigned>(c - '0');
    }
    return port <= 65535;
}

/// `host[:port]` of RFC 9110 section 7.2: a name, an IPv4 address, or an IP literal in brackets.
inline bool is_host(std::string_view text) noexcept {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || !is_ip_literal(text.substr(1, end - 1))) return false;
        port = text.substr(end + 1);
    } else {
        const std::size_t end = std::min(text.find(':'), text.size());
        if (!is_reg_name(text.substr(0, end))) return false;
        port = text.substr(end);
    }
    return port.empty() || (port[0] == ':' && is_port(port.substr(1)));
}

/// What follows "http://" or "https://" in an absolute target, or nothing when it is not one.
constexpr std::string_view after_scheme(std::string_view target) noexcept {
    if (target.size() > 7 && equal_ignoring_case(target.substr(0, 7), "http://")) return target.substr(7);
    if (target.size() > 8 && equal_ignoring_case(target.substr(0, 8), "https://")) return target.substr(8);
    return {};
}

/// The host and port of an absolute target; nothing in the other forms.
constexpr std::string_view authority_of(std::string_view target) noexcept {
    const std::string_view rest = after_scheme(target);
    return rest.substr(0, rest.find_first_of("/?"));
}

/// The parts, as views into the line.
struct RequestLine {
    Method method = Method::get;
    std::uint8_t version_minor = 1;
    std::string_view target;
    std::string_view path; ///< empty when an absolute target has none
    std::string_view query;
};

/// The forms of a target, RFC 9112 section 3.2. CONNECT and TRACE are understood and not offered.
inline int split_target(RequestLine& line) noexcept {
    const std::string_view target = line.target;
    if (line.method == Method::connect)
        return is_host(target) && target.find(':') != std::string_view::npos ? 501 : 400;
    std::string_view path = target;
    if (target[0] != '/' && (target != "*" || line.method != Method::options)) {
        const std::string_view authority = authority_of(target);
        if (!is_host(authority)) return 400;
        path = after_scheme(target).substr(authority.size());
    }
    const std::size_t mark = std::min(path.find('?'), path.size());
    line.path = path.substr(0, mark);
    line.query = path.substr(std::min(mark + 1, path.size()));
    return line.method == Method::trace ? 501 : 0;
}

/// Gives 0, or the status of the refusal: what is malformed is 400 before anything else is looked at.
inline int split_request_line(std::string_view text, std::size_t target_limit, RequestLine& line) noexcept {
    const std::size_t first = text.find(' ');
    if (first == std::string_view::npos) return 400;
    const std::size_t second = text.find(' ', first + 1);
    if (second == std::string_view::npos) return 400;
    const std::string_view method = text.substr(0, first);
    const std::string_view version = text.substr(second + 1);
    line.target = text.substr(first + 1, second - first - 1);
    if (!is_token(method) || line.target.empty() || !all_are(line.target, char_target)) return 400;
    if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.') return 400;
    if (!is_digit(version[5]) || !is_digit(version[7])) return 400;
    if (version[5] != '1') return 505;
    if (line.target.size() > target_limit) return 414;
    const std::optional<Method> known = to_method(method);
    if (!known) return 501;
    line.method = *known;
    // RFC 9110 section 2.5: a higher minor version is read as the highest that is known.
    line.version_minor = version[7] == '0' ? 0 : 1;
    return split_target(line);
}

} // namespace cohort::http::detail
