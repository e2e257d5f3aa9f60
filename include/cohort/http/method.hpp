// SPDX-License-Identifier: MIT
// The request methods (layer 1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cohort::http {

/// The methods this server knows (RFC 9110 section 9, RFC 5789, WebDAV and its relatives). The list is cohort's own, so
/// that it does not depend on the parser that is linked; a well-formed method that is not here is answered with 501.
enum class Method : std::uint8_t {
    get,
    head,
    post,
    put,
    del, ///< DELETE
    patch,
    options,
    connect,
    trace,
    copy,
    lock,
    mkcol,
    move,
    propfind,
    proppatch,
    search,
    unlock,
    bind,
    rebind,
    unbind,
    acl,
    report,
    mkactivity,
    checkout,
    merge,
    msearch, ///< M-SEARCH
    notify,
    subscribe,
    unsubscribe,
    purge,
    mkcalendar,
    link,
    unlink,
};

namespace detail {

inline constexpr std::array<std::string_view, 33> method_names{
    "GET",       "HEAD",        "POST",  "PUT",        "DELETE",     "PATCH",     "OPTIONS", "CONNECT",  "TRACE",
    "COPY",      "LOCK",        "MKCOL", "MOVE",       "PROPFIND",   "PROPPATCH", "SEARCH",  "UNLOCK",   "BIND",
    "REBIND",    "UNBIND",      "ACL",   "REPORT",     "MKACTIVITY", "CHECKOUT",  "MERGE",   "M-SEARCH", "NOTIFY",
    "SUBSCRIBE", "UNSUBSCRIBE", "PURGE", "MKCALENDAR", "LINK",       "UNLINK"};

static_assert(method_names.size() == static_cast<std::size_t>(Method::unlink) + 1);

} // namespace detail

/// The method as it stands in a request: "GET", "DELETE", "M-SEARCH".
constexpr std::string_view to_string(Method method) noexcept {
    return detail::method_names[static_cast<std::size_t>(method)];
}

/// The method of that name; methods are case-sensitive. Nothing when it is not known.
constexpr std::optional<Method> to_method(std::string_view name) noexcept {
    for (std::size_t i = 0; i != detail::method_names.size(); ++i)
        if (detail::method_names[i] == name) return static_cast<Method>(i);
    return std::nullopt;
}

} // namespace cohort::http
