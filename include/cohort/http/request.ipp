// SPDX-License-Identifier: MIT
// The bodies of request.hpp (layer 1).
#pragma once

#include <cohort/http/request.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/http/cookie.hpp>
#include <cohort/http/detail/parse/text.hpp>
#include <cohort/http/status.hpp>

#include <utility>

namespace cohort::http {

COHORT_DECL void Request::refuse_beyond(std::uint64_t limit) const {
    if (content_length_ > limit) throw Error(413);
}

COHORT_DECL Task<std::string> Request::text(std::uint64_t limit) const {
    refuse_beyond(limit);
    return body().text(limit);
}

COHORT_DECL Task<std::vector<std::byte>> Request::bytes(std::uint64_t limit) const {
    refuse_beyond(limit);
    return body().bytes(limit);
}

COHORT_DECL std::optional<std::string_view> Request::cookie(std::string_view name) const noexcept {
    return find_cookie(fields_, name);
}

COHORT_DECL std::string_view Request::content_type() const noexcept {
    std::string_view value = header("content-type").value_or("");
    return detail::trim(detail::take_until(value, ';'));
}

COHORT_DECL bool Request::is(std::string_view media_type) const noexcept {
    return detail::equal_ignoring_case(content_type(), media_type);
}

COHORT_DECL std::optional<std::string_view> Request::upgrade() const noexcept {
    return version_minor_ == 1 && fields_.has_token("connection", "upgrade") ? header("upgrade") : std::nullopt;
}

COHORT_DECL Form Request::query_form() const { return parse_form(query()); }

COHORT_DECL std::optional<std::string> Request::query(std::string_view name) const {
    for (std::string_view rest = query(); !rest.empty();) {
        std::string_view value = detail::take_until(rest, '&');
        const std::string_view key = detail::take_until(value, '=');
        if (key == name || detail::decode(key, true) == name) return detail::decode(value, true);
    }
    return std::nullopt;
}

} // namespace cohort::http

namespace cohort::http::detail {

COHORT_LAZY COHORT_DECL Task<Form> read_form(Task<std::string> reading, std::size_t most) {
    const std::string text = co_await std::move(reading);
    co_return parse_form(text, most);
}

} // namespace cohort::http::detail

namespace cohort::http {

COHORT_DECL Task<Form> Request::form(std::size_t most) const {
    if (!is("application/x-www-form-urlencoded")) throw Error(415);
    return detail::read_form(text(), most);
}

COHORT_DECL std::optional<std::string> Request::param(std::string_view name) const {
    for (const auto& parameter : parameters_.list)
        if (parameter.name == name) return detail::decode(parameter.value, false);
    return std::nullopt;
}

COHORT_DECL std::string_view Request::rest() const noexcept {
    if (!parameters_.list.empty()) return parameters_.list.back().value;
    std::string_view all = path();
    if (all.starts_with('/')) all.remove_prefix(1);
    if (all.ends_with('/')) all.remove_suffix(1);
    return all;
}

} // namespace cohort::http
