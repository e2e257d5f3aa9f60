// SPDX-License-Identifier: MIT
// Phrases of status codes, and the exception that carries one.
#include <cohort/http/status.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using namespace cohort;

TEST_CASE("a status has its phrase, an unknown one that of its class") {
    CHECK(http::reason(200) == "OK");
    CHECK(http::reason(404) == "Not Found");
    CHECK(http::reason(431) == "Request Header Fields Too Large");
    CHECK(http::reason(299) == "Successful");
}

TEST_CASE("an error says what its status means") {
    CHECK(http::Error(404).status() == 404);
    CHECK(std::string{http::Error(404).what()} == "Not Found");
}

TEST_CASE("an error has fields that its answer is to have") {
    const auto fail = [] { throw http::Error(401, "for the log").with("WWW-Authenticate", "Basic").with("X", "y"); };
    try {
        fail();
    } catch (const http::Error& error) {
        CHECK(error.status() == 401);
        CHECK(error.fields().get("www-authenticate") == "Basic");
        CHECK(error.fields().size() == 2);
    }
    CHECK(http::Error(404).fields().empty());
    CHECK_THROWS_AS(http::Error(401).with("X", "a\r\nb"), std::invalid_argument);
}
