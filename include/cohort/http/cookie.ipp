// SPDX-License-Identifier: MIT
// The bodies of cookie.hpp (layer 1).
#pragma once

#include <cohort/http/cookie.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/detail/respond/date.hpp>

#include <algorithm>
#include <cstddef>
#include <stdexcept>

namespace cohort::http::detail {

COHORT_DECL std::optional<std::string_view> find_cookie(std::string_view list, std::string_view name) noexcept {
    while (!list.empty()) {
        std::string_view value = trim(take_until(list, ';'));
        if (value.find('=') == std::string_view::npos) continue;
        if (trim(take_until(value, '=')) != name) continue;
        value = trim(value);
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
        return value;
    }
    return std::nullopt;
}

COHORT_DECL bool has_prefix(std::string_view name, std::string_view prefix) noexcept {
    return equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

COHORT_DECL void check_cookie_attributes(const Cookie& cookie) {
    const auto refuse = [&cookie](const char* why) {
        throw std::invalid_argument("http::Cookie \"" + cookie.name + "\": " + why);
    };
    for (const char c : cookie.path)
        if (c < 0x20 || c > 0x7e || c == ';') refuse("a character that cannot be in a path");
    if (!cookie.path.empty() && cookie.path[0] != '/') refuse("a path begins with /");
    for (const char c : cookie.domain)
        if (!is_digit(c) && c != '-' && c != '.' && (to_lower(c) < 'a' || to_lower(c) > 'z'))
            refuse("a character that cannot be in a domain");
    if (has_prefix(cookie.name, "__Secure-") && !cookie.secure) refuse("the prefix __Secure- needs secure");
    if (has_prefix(cookie.name, "__Host-") && (!cookie.secure || cookie.path != "/" || !cookie.domain.empty()))
        refuse("the prefix __Host- needs secure, the path / and no domain");
    if (cookie.same_site == SameSite::none && !cookie.secure) refuse("SameSite::none needs secure");
}

} // namespace cohort::http::detail

namespace cohort::http {

COHORT_DECL std::string to_string(const Cookie& cookie) {
    if (!detail::is_token(cookie.name)) throw std::invalid_argument("http::Cookie: a name is a token");
    for (const char c : cookie.value)
        if (c < 0x21 || c > 0x7e || c == '"' || c == ',' || c == ';' || c == '\\')
            throw std::invalid_argument("http::Cookie \"" + cookie.name + "\": a character that needs encoding");
    detail::check_cookie_attributes(cookie);
    std::string text = cookie.name + "=" + cookie.value;
    if (!cookie.path.empty()) text.append("; Path=").append(cookie.path);
    if (!cookie.domain.empty()) text.append("; Domain=").append(cookie.domain);
    if (cookie.max_age)
        text.append("; Max-Age=").append(std::to_string(std::max<std::int64_t>(cookie.max_age->count(), 0)));
    if (cookie.expires)
        detail::append_date(text.append("; Expires="), std::chrono::system_clock::to_time_t(*cookie.expires));
    if (cookie.secure) text.append("; Secure");
    if (cookie.http_only) text.append("; HttpOnly");
    constexpr const char* same_site[] = {"; SameSite=Lax", "; SameSite=Strict", "; SameSite=None", ""};
    return text.append(same_site[static_cast<std::size_t>(cookie.same_site)]);
}

COHORT_DECL std::optional<std::string_view> find_cookie(const Fields& fields, std::string_view name) noexcept {
    for (const Field field : fields) {
        if (!detail::equal_ignoring_case(field.name, "cookie")) continue;
        if (const auto value = detail::find_cookie(field.value, name)) return value;
    }
    return std::nullopt;
}

} // namespace cohort::http
