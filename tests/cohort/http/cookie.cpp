// SPDX-License-Identifier: MIT
// Cookies as clients send them, and as they are told to.
#include <cohort/http/cookie.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>

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

TEST_CASE("a cookie in wire form") {
    using namespace std::chrono_literals;
    const auto at = std::chrono::system_clock::from_time_t(784111777);
    CHECK(to_string(http::Cookie{.name = "a", .value = "1"}) == "a=1; Path=/; HttpOnly; SameSite=Lax");
    CHECK(to_string(http::Cookie{.name = "a", .path = "", .http_only = false, .same_site = http::SameSite::unset}) ==
          "a=");
    CHECK(to_string(http::Cookie{.name = "a",
                                 .value = "!#$x~",
                                 .path = "/x y",
                                 .domain = "Example-1.com",
                                 .max_age = 1h,
                                 .expires = at,
                                 .secure = true,
                                 .same_site = http::SameSite::none}) ==
          "a=!#$x~; Path=/x y; Domain=Example-1.com; Max-Age=3600; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Secure; "
          "HttpOnly; SameSite=None");
    CHECK(to_string(http::Cookie{.name = "a", .max_age = -1s, .same_site = http::SameSite::strict}) ==
          "a=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    CHECK(to_string(http::Cookie{.name = "__Host-a", .secure = true}) ==
          "__Host-a=; Path=/; Secure; HttpOnly; SameSite=Lax");
}

TEST_CASE("a cookie that clients would take for another, or for none, is refused") {
    using http::Cookie;
    for (const Cookie& cookie : {
             Cookie{.name = ""},
             Cookie{.name = "a b"},
             Cookie{.name = "a=b"},
             Cookie{.name = "a;b"},
             Cookie{.name = "a\xc3\xbc"},
             Cookie{.name = "a", .value = "x y"},
             Cookie{.name = "a", .value = "x;y"},
             Cookie{.name = "a", .value = "x,y"},
             Cookie{.name = "a", .value = "\"x\""},
             Cookie{.name = "a", .value = "x\\y"},
             Cookie{.name = "a", .value = "x\r\ny"},
             Cookie{.name = "a", .value = std::string(1, '\0')},
             Cookie{.name = "a", .value = "\x7f"},
             Cookie{.name = "a", .value = "\xc3\xbc"},
             Cookie{.name = "a", .path = "x"},
             Cookie{.name = "a", .path = "/x;y"},
             Cookie{.name = "a", .path = "/\n"},
             Cookie{.name = "a", .path = "/\xc3\xbc"},
             Cookie{.name = "a", .domain = "x;y"},
             Cookie{.name = "a", .domain = "x y"},
             Cookie{.name = "a", .domain = "x\r\n"},
             Cookie{.name = "__Secure-a"},
             Cookie{.name = "__secure-a"},
             Cookie{.name = "__Host-a"},
             Cookie{.name = "__host-a", .path = "/x", .secure = true},
             Cookie{.name = "__Host-a", .path = "", .secure = true},
             Cookie{.name = "__Host-a", .domain = "x", .secure = true},
             Cookie{.name = "a", .same_site = http::SameSite::none},
         }) {
        CAPTURE(cookie.name);
        CAPTURE(cookie.value);
        CHECK_THROWS_AS(to_string(cookie), std::invalid_argument);
    }
}
