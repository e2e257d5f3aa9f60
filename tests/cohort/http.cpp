// SPDX-License-Identifier: MIT
// The umbrella of the HTTP part.
#include <cohort/http.hpp>

#include <doctest/doctest.h>

using namespace cohort;

TEST_CASE("http.hpp brings a router whose answer can be served") {
    http::Router<> router;
    router.get("/", [](const http::Request&) -> Task<http::Response> { co_return http::text("hello"); });
    CHECK(http::Handler<http::Router<>>);
}
