// SPDX-License-Identifier: MIT
// The bodies of response.hpp (layer 1).
#pragma once

#include <cohort/http/response.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

#include <chrono>

namespace cohort::http {

COHORT_DECL Response& Response::stream(Producer producer, std::optional<std::uint64_t> length) {
    producer_ = std::move(producer);
    length_ = length;
    return *this;
}

COHORT_DECL Response& Response::upgrade(std::string_view protocol, Takeover takeover) {
    takeover_ = cohort::detail::share<const Takeover>(std::move(takeover));
    return status(101).set("Upgrade", protocol);
}

COHORT_DECL Response& Response::set_cookie(const Cookie& cookie) { return add("Set-Cookie", to_string(cookie)); }

COHORT_DECL Response& Response::clear_cookie(std::string_view name, std::string_view path, std::string_view domain) {
    Cookie cookie{std::string{name}, {}, std::string{path}, std::string{domain}};
    cookie.max_age = std::chrono::seconds(0);
    cookie.expires = std::chrono::system_clock::time_point();
    cookie.secure = detail::has_prefix(name, "__Secure-") || detail::has_prefix(name, "__Host-");
    return set_cookie(cookie);
}

COHORT_DECL Response text(std::string body) {
    Response response(200, std::move(body));
    response.default_type("text/plain; charset=utf-8");
    return response;
}

COHORT_DECL Response html(std::string body) {
    Response response(200, std::move(body));
    response.default_type("text/html; charset=utf-8");
    return response;
}

COHORT_DECL Response json(std::string body) {
    Response response(200, std::move(body));
    response.default_type("application/json");
    return response;
}

COHORT_DECL Response stream(Producer producer, std::optional<std::uint64_t> length) {
    Response response(200);
    response.default_type("application/octet-stream");
    response.stream(std::move(producer), length);
    return response;
}

COHORT_DECL Response upgrade(std::string_view protocol, Takeover takeover) {
    return Response().upgrade(protocol, std::move(takeover));
}

COHORT_DECL Response status(int code) {
    if (code < 200 || code == 204 || code == 205 || code == 304) return Response(code);
    Response response = text(std::string{reason(code)} + "\n");
    response.status(code);
    return response;
}

COHORT_DECL Response redirect(std::string_view location, int code) {
    Response response = status(code);
    response.add("Location", location);
    return response;
}

} // namespace cohort::http
