// SPDX-License-Identifier: MIT
// The rules, as the parser keeps them: each input given whole, byte by byte, and split once at every place.
#include <cohort/http/parser.hpp>

#include <support/http_reader.hpp>
#include <support/http_rules.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>

using namespace cohort;

namespace {

void check(const test::HttpRule& rule) {
    const std::string input = rule.input();
    const std::string wanted = rule.wanted();
    const http::Limits limits = rule.limits();
    CAPTURE(rule.words);
    CAPTURE(input.substr(0, 200));
    test::HttpReader whole(limits);
    whole.feed(input);
    CHECK(whole.seen == wanted);
    test::HttpReader bytewise(limits);
    for (const char& c : input) bytewise.feed({&c, 1});
    CHECK(bytewise.seen == wanted);
    if (input.size() > 400) return;
    for (std::size_t at = 1; at < input.size(); ++at) {
        test::HttpReader reader(limits);
        reader.feed(std::string_view{input}.substr(0, at));
        reader.feed(std::string_view{input}.substr(at));
        if (reader.seen != wanted) FAIL_CHECK("split at " << at << ": " << reader.seen);
    }
}

} // namespace

TEST_CASE("every rule is kept, wherever the bytes are split") {
    for (const test::HttpSection& section : test::http_rules()) {
        CAPTURE(section.name);
        for (const test::HttpRule& rule : section.rules) check(rule);
    }
}

TEST_CASE("memory that is given back is no loss") {
    const http::Limits limits;
    test::HttpReader reader(limits);
    for (int i = 0; i != 2; ++i) {
        reader.feed("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        reader.parser.release();
    }
    CHECK(reader.seen == "GET /a|Host=h;GET /a|Host=h;");
}
