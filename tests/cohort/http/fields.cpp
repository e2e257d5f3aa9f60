// SPDX-License-Identifier: MIT
// Fields: case, repetition, and what they refuse.
#include <cohort/http/fields.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <string_view>

using namespace cohort;

TEST_CASE("fields are found without regard to case, and may repeat") {
    http::Fields fields;
    fields.add("Content-Type", "text/plain");
    fields.add("Set-Cookie", "a=1");
    fields.add("set-cookie", "b=2");
    CHECK(fields.size() == 3);
    CHECK(fields.get("content-TYPE") == "text/plain");
    CHECK(fields.get("Set-Cookie") == "a=1");
    CHECK_FALSE(fields.get("Set"));
    std::string all;
    for (const http::Field field : fields) all.append(field.name).append("=").append(field.value).append(";");
    CHECK(all == "Content-Type=text/plain;Set-Cookie=a=1;set-cookie=b=2;");
    fields.set("SET-COOKIE", "c=3");
    CHECK(fields.size() == 2);
    CHECK(fields.get("set-cookie") == "c=3");
    CHECK(fields.remove("set-cookie") == 1);
    CHECK(fields.remove("set-cookie") == 0);
    CHECK_FALSE(fields.contains("set-cookie"));
    CHECK(fields.get("content-type") == "text/plain");
}

TEST_CASE("lists of tokens") {
    http::Fields fields;
    fields.add("Connection", "keep-alive , Upgrade");
    fields.add("Connection", "x");
    CHECK(fields.has_token("connection", "upgrade"));
    CHECK(fields.has_token("connection", "X"));
    CHECK_FALSE(fields.has_token("connection", "keep"));
    CHECK_FALSE(fields.has_token("upgrade", "x"));
}

TEST_CASE("a field cannot split a message") {
    http::Fields fields;
    for (int c = 0; c != 256; ++c) {
        const std::string value{'b', static_cast<char>(c), 'c'};
        CAPTURE(c);
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            CHECK_THROWS_AS(fields.add("A", value), std::invalid_argument);
        else
            CHECK_NOTHROW(http::Fields{}.add("A", value));
    }
    CHECK_THROWS_AS(fields.add("", "b"), std::invalid_argument);
    CHECK_THROWS_AS(fields.add("A:", "b"), std::invalid_argument);
    CHECK_THROWS_AS(fields.add("A B", "b"), std::invalid_argument);
    fields.add("A", "kept");
    CHECK_THROWS_AS(fields.set("A", "x\r\nB: c"), std::invalid_argument);
    CHECK(fields.get("A") == "kept");
}
