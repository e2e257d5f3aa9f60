// SPDX-License-Identifier: MIT
// The umbrella of requests and responses.
#include <cohort/http/message.hpp>

#include <doctest/doctest.h>

#include <type_traits>

using namespace cohort;

TEST_CASE("message.hpp brings requests and responses") {
    CHECK(std::is_default_constructible_v<http::Response>);
    CHECK_FALSE(std::is_copy_constructible_v<http::Request>);
}
