// SPDX-License-Identifier: MIT
// The rules, as the parser keeps them: each input given whole, byte by byte, and split once at every place.
#include <cohort/http/parser.hpp>

#include <support/http_rules.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>

using namespace cohort;

namespace {

/// What a parser makes of a stream, in the words of HttpRule.
struct Reader {
    explicit Reader(const http::Limits& limits) : parser(limits) {}

    void feed(std::string_view bytes) {
        while (true) {
            const auto step = parser.parse(bytes);
            bytes.remove_prefix(step.consumed);
            if (step.event == http::ParseEvent::head) note_head();
            if (step.event == http::ParseEvent::body) body += step.body;
            if (step.event == http::ParseEvent::error) return note_refusal();
            if (step.event == http::ParseEvent::need_more) return;
            if (parser.complete()) end_message();
        }
    }

    void note_head() {
        const http::Request& request = parser.request();
        seen += std::string{to_string(request.method())} + " " + std::string{request.path()};
        if (!request.query().empty()) seen += "?" + std::string{request.query()};
        for (const http::Field field : request.fields())
            seen += "|" + std::string{field.name} + "=" + std::string{field.value};
        if (!request.keep_alive()) seen += " close";
        if (parser.expects_continue()) seen += " expects";
    }

    void note_refusal() {
        if (refused) return;
        refused = true;
        seen += "!" + std::to_string(parser.refuse());
    }

    void end_message() {
        if (!body.empty()) seen += " <" + body + ">";
        seen += ";";
        body.clear();
        parser.restart();
    }

    http::RequestParser parser;
    std::string seen;
    std::string body;
    bool refused = false;
};

void check(const test::HttpRule& rule) {
    const std::string input = rule.input();
    const std::string wanted = rule.wanted();
    const http::Limits limits = rule.limits();
    CAPTURE(rule.words);
    CAPTURE(input.substr(0, 200));
    Reader whole(limits);
    whole.feed(input);
    CHECK(whole.seen == wanted);
    Reader bytewise(limits);
    for (const char& c : input) bytewise.feed({&c, 1});
    CHECK(bytewise.seen == wanted);
    if (input.size() > 400) return;
    for (std::size_t at = 1; at < input.size(); ++at) {
        Reader reader(limits);
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
    Reader reader(limits);
    for (int i = 0; i != 2; ++i) {
        reader.feed("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        reader.parser.release();
    }
    CHECK(reader.seen == "GET /a|Host=h;GET /a|Host=h;");
}
