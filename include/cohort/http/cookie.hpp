// SPDX-License-Identifier: MIT
// Cookies, as a client sends them (layer 1).
#pragma once

#include <cohort/http/detail/text.hpp>
#include <cohort/http/fields.hpp>

#include <optional>
#include <string_view>

namespace cohort::http {

namespace detail {

/// The value of the first cookie of that name in what one Cookie field says (RFC 6265 section 4.2).
inline std::optional<std::string_view> find_cookie(std::string_view list, std::string_view name) noexcept {
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

} // namespace detail

/// The value of the first cookie of that name in the Cookie fields of a request, without quotes around it. Names are
/// case-sensitive. Nothing is decoded: what servers put into values is their own affair.
inline std::optional<std::string_view> find_cookie(const Fields& fields, std::string_view name) noexcept {
    for (const Field field : fields) {
        if (!detail::equal_ignoring_case(field.name, "cookie")) continue;
        if (const auto value = detail::find_cookie(field.value, name)) return value;
    }
    return std::nullopt;
}

} // namespace cohort::http
