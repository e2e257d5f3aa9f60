// SPDX-License-Identifier: MIT
// Cookies as clients send them.
#include <cohort/http/cookie.hpp>

#include <doctest/doctest.h>

using namespace cohort;

TEST_CASE("the first cookie of a name is found in all Cookie fields") {
    http::Fields fields;
    fields.add("X-Cookie", "a=0");
    fields.add("Cookie", "b=1");
    fields.add("cookie", "a=2; a=3");
    fields.add("COOKIE", "c=4; a=5; b=6");
    CHECK(http::find_cookie(fields, "a") == "2");
    CHECK(http::find_cookie(fields, "b") == "1");
    CHECK(http::find_cookie(fields, "c") == "4");
    CHECK_FALSE(http::find_cookie(fields, "d"));
    CHECK_FALSE(http::find_cookie(fields, ""));
}
