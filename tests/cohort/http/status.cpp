// SPDX-License-Identifier: MIT
// Phrases of status codes, and the exception that carries one.
#include <cohort/http/status.hpp>

#include <doctest/doctest.h>

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
