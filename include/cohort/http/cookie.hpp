// SPDX-License-Identifier: MIT
// Cookies, as a server makes them and a client sends them back (layer 1).
#pragma once

#include <cohort/http/fields.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::http {

/// Which requests caused by other sites carry the cookie.
enum class SameSite : std::uint8_t {
    lax,    ///< only those that bring the user here, as a link does
    strict, ///< none
    none,   ///< all; only for a cookie that is `secure`
    unset,  ///< as the browser thinks best
};

/// What Response::set_cookie has a client remember:
///
///     response.set_cookie({.name = "session", .value = id, .max_age = 24h, .secure = true});
struct Cookie {
    std::string name{};
    std::string value{};                           ///< printable ASCII without space, '"', ',', ';' and '\\'
    std::string path = "/";                        ///< for everything below it; "": below that of the request
    std::string domain{};                          ///< for it and everything below it; "": only for this host
    std::optional<std::chrono::seconds> max_age{}; ///< neither this nor `expires`: until the browser ends
    std::optional<std::chrono::system_clock::time_point> expires{}; ///< for clients that do not know `max_age`
    bool secure = false;                                            ///< only over TLS
    bool http_only = true;                                          ///< out of reach of scripts
    SameSite same_site = SameSite::lax;
};

namespace detail {

/// The value of the first cookie of that name in what one Cookie field says (RFC 6265 section 4.2).
std::optional<std::string_view> find_cookie(std::string_view list, std::string_view name) noexcept;

bool has_prefix(std::string_view name, std::string_view prefix) noexcept;

void check_cookie_attributes(const Cookie& cookie);

} // namespace detail

/// The value of a Set-Cookie field. Throws std::invalid_argument for what RFC 6265 section 4.1.1 does not allow, and
/// for what browsers would ignore: a `__Host-` or `__Secure-` name or SameSite::none without what they need.
std::string to_string(const Cookie& cookie);

/// The value of the first cookie of that name in the Cookie fields of a request, without quotes around it. Names are
/// case-sensitive. Nothing is decoded: what servers put into values is their own affair.
std::optional<std::string_view> find_cookie(const Fields& fields, std::string_view name) noexcept;

} // namespace cohort::http

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/cookie.ipp>
#endif
