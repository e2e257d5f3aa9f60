// SPDX-License-Identifier: MIT
// Lines of access logs, whatever clients send.
#include <cohort/http/access_log.hpp>

#include "support/handling.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>

using namespace cohort;
using namespace std::chrono_literals;

namespace {

const auto begun = std::chrono::system_clock::from_time_t(971186136) + 7ms;

http::Access access_of(const http::Request* request) {
    return {.request = request,
            .client = "192.0.2.1",
            .status = 200,
            .bytes = 2326,
            .begun = begun,
            .took = std::chrono::nanoseconds(1'234'567)};
}

/// What to_json makes of the User-Agent.
std::string in_json(std::string_view text) {
    std::string out;
    http::detail::append_json_text(out, text);
    return out;
}

} // namespace

TEST_CASE("a request in the common and the combined log format") {
    const test::ParsedRequest request(
        "GET", "/apache_pb.gif?a=%20",
        "Referer: http://www.example.com/start.html\r\nUser-Agent: Mozilla/4.08 [en]\r\n");
    const std::string common =
        "192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif?a=%20 HTTP/1.1\" 200 2326";
    CHECK(to_common(access_of(&*request)) == common);
    CHECK(to_combined(access_of(&*request)) == common + " \"http://www.example.com/start.html\" \"Mozilla/4.08 [en]\"");
    const test::ParsedRequest bare("DELETE", "/");
    CHECK(to_combined(access_of(&*bare)).ends_with("\"DELETE / HTTP/1.1\" 200 2326 \"-\" \"-\""));

    http::Access refused = access_of(nullptr);
    refused.status = 408;
    refused.bytes = 0;
    CHECK(to_common(refused) == "192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"-\" 408 -");
    CHECK(to_combined(refused).ends_with("\"-\" 408 - \"-\" \"-\""));
    refused.client = "";
    CHECK(to_common(refused).starts_with("- - - ["));
}

TEST_CASE("what a client sends cannot leave its place in a line") {
    const test::ParsedRequest request("GET", "/\"x\\\"", "User-Agent: \"a\\\tb\x80\xc3\xbc\r\n");
    http::Access access = access_of(&*request);
    access.client = "\x1b[31m\n";
    const std::string line = to_combined(access);
    CHECK(line.starts_with("\\x1b[31m\\x0a - - "));
    CHECK(line.find("\"GET /\\x22x\\x5c\\x22 HTTP/1.1\"") != std::string::npos);
    CHECK(line.ends_with("\"\\x22a\\x5c\\x09b\\x80\\xc3\\xbc\""));
    for (const char c : line) CHECK((c >= 0x20 && c < 0x7f));
}

TEST_CASE("a request in JSON") {
    const test::ParsedRequest request("POST", "/a\"b", "User-Agent: a\\b\r\n");
    CHECK(to_json(access_of(&*request)) ==
          R"({"time":"2000-10-10T13:55:36.007Z","client":"192.0.2.1","method":"POST","target":"/a\"b",)"
          R"("version":"HTTP/1.1","status":200,"bytes":2326,"took_us":1234,"host":"h","user_agent":"a\\b"})");
    CHECK(to_json(access_of(nullptr)) == R"({"time":"2000-10-10T13:55:36.007Z","client":"192.0.2.1",)"
                                         R"("status":200,"bytes":2326,"took_us":1234})");
}

TEST_CASE("JSON is UTF-8, whatever the text is") {
    CHECK(in_json("") == "\"\"");
    CHECK(in_json(std::string_view("a\0b\n\t\x1f\x7f", 7)) == R"("a\u0000b\u000a\u0009\u001f\u007f")");
    for (const char* valid : {"\xc2\xa0", "\xc3\xbc", "\xdf\xbf", "\xe0\xa0\x80", "\xe2\x82\xac", "\xed\x9f\xbf",
                              "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"})
        CHECK(in_json(valid) == '"' + std::string(valid) + '"');
    struct Row {
        const char* text;
        const char* json;
    };
    for (const Row& row : {
             Row{"\xc2\x80", R"("\u00c2\u0080")"}, // a control character
             Row{"\xc2\x9f", R"("\u00c2\u009f")"},
             Row{"\x80", R"("\u0080")"},
             Row{"\xff", R"("\u00ff")"},
             Row{"\xc0\xaf", R"("\u00c0\u00af")"}, // longer than it must be
             Row{"\xc1\xbf", R"("\u00c1\u00bf")"},
             Row{"\xe0\x9f\xbf", R"("\u00e0\u009f\u00bf")"},
             Row{"\xf0\x8f\xbf\xbf", R"("\u00f0\u008f\u00bf\u00bf")"},
             Row{"\xed\xa0\x80", R"("\u00ed\u00a0\u0080")"}, // a surrogate
             Row{"\xf4\x90\x80\x80", R"("\u00f4\u0090\u0080\u0080")"},
             Row{"\xf5\x80\x80\x80", R"("\u00f5\u0080\u0080\u0080")"},
             Row{"\xc3", R"("\u00c3")"}, // cut off
             Row{"\xe2\x82", R"("\u00e2\u0082")"},
             Row{"\xe2\x82x", R"("\u00e2\u0082x")"},
             Row{"\xc3\"", R"("\u00c3\"")"},
             Row{"\xc3\xbc\x80", "\"\xc3\xbc\\u0080\""},
         }) {
        CAPTURE(row.json);
        CHECK(in_json(row.text) == row.json);
    }
}
