// SPDX-License-Identifier: MIT
#include <cohort/detail/logs/log_formatter.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace cohort::detail;
using namespace std::chrono_literals;
using cohort::LogFormat;

namespace {

/// 2026-11-30 14:40:35 UTC
const LogFormatter::Time some_time{std::chrono::sys_days{std::chrono::year{2026} / 11 / 30} + 14h + 40min + 35s};

std::string formatted(LogFormat format, const LogSource& source, LogFormatter::Time time, const Line& line) {
    LogFormatter formatter(format);
    std::string out;
    formatter.append(out, source, time, line);
    return out;
}

std::string json_text(std::string_view text) {
    const std::string line = formatted(LogFormat::json, {}, some_time, {text});
    const std::string before = "{\"time\":\"2026-11-30T14:40:35.000000Z\",\"stream\":\"cohort\",\"text\":\"";
    REQUIRE(line.starts_with(before));
    REQUIRE(line.ends_with("\"}\n"));
    return line.substr(before.size(), line.size() - before.size() - 3);
}

} // namespace

TEST_CASE("a line has its time, its worker, its slot and its stream") {
    const LogSource worker{3, 0, LogStream::output};
    CHECK(formatted(LogFormat::text, worker, some_time + 123'456us, {"hello"}) ==
          "2026-11-30T14:40:35.123456Z worker 3 slot 0 stdout: hello\n");
    CHECK(formatted(LogFormat::json, worker, some_time + 7us, {"hello"}) ==
          "{\"time\":\"2026-11-30T14:40:35.000007Z\",\"worker\":3,\"slot\":0,\"stream\":\"stdout\",\"text\":\"hello\"}"
          "\n");
    const LogSource error{12, 5, LogStream::error};
    CHECK(formatted(LogFormat::text, error, some_time, {"x", true}) ==
          "2026-11-30T14:40:35.000000Z worker 12 slot 5 stderr+: x\n");
    CHECK(formatted(LogFormat::json, error, some_time, {"x", true}) ==
          "{\"time\":\"2026-11-30T14:40:35.000000Z\",\"worker\":12,\"slot\":5,\"stream\":\"stderr\",\"partial\":true,"
          "\"text\":\"x\"}\n");
    CHECK(formatted(LogFormat::text, {}, some_time, {"worker 3 has ended"}) ==
          "2026-11-30T14:40:35.000000Z cohort: worker 3 has ended\n");
}

TEST_CASE("times before 1970 and at the ends of days, months and years") {
    const auto time_of = [](LogFormatter::Time time) {
        return formatted(LogFormat::text, {}, time, {""}).substr(0, 27);
    };
    CHECK(time_of(LogFormatter::Time{}) == "1970-01-01T00:00:00.000000Z");
    CHECK(time_of(LogFormatter::Time{} - 1us) == "1969-12-31T23:59:59.999999Z");
    CHECK(time_of(LogFormatter::Time{std::chrono::sys_days{std::chrono::year{2028} / 2 / 29} + 23h}) ==
          "2028-02-29T23:00:00.000000Z");
}

TEST_CASE("each line has the time and the source that it is given with, whatever came before") {
    LogFormatter formatter(LogFormat::text);
    std::string out;
    const LogSource one{1, 0, LogStream::output};
    const LogSource other{1, 0, LogStream::error};
    formatter.append(out, one, some_time, {"a"});
    formatter.append(out, one, some_time, {"b"});
    formatter.append(out, other, some_time, {"c"});
    formatter.append(out, other, some_time + 1s, {"d"});
    CHECK(out == "2026-11-30T14:40:35.000000Z worker 1 slot 0 stdout: a\n"
                 "2026-11-30T14:40:35.000000Z worker 1 slot 0 stdout: b\n"
                 "2026-11-30T14:40:35.000000Z worker 1 slot 0 stderr: c\n"
                 "2026-11-30T14:40:36.000000Z worker 1 slot 0 stderr: d\n");
}

TEST_CASE("as JSON any bytes are a string of RFC 8259") {
    struct Case {
        std::string_view text;
        std::string_view json;
    };
    const Case cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\"quoted\" \\ /", "\\\"quoted\\\" \\\\ /"},
        {{"\0\t\r\x1b\x7f", 5}, "\\u0000\\u0009\\u000d\\u001b\\u007f"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x80", "\xef\xbf\xbd"}, // a continuation
        {"\xc3", "\xef\xbf\xbd"}, // cut
        {"\xc3(", "\xef\xbf\xbd("},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"}, // too long
        {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 // a surrogate
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, // beyond U+10FFFF
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (const auto& [text, json] : cases) {
        CAPTURE(text);
        CHECK(json_text(text) == json);
    }
}
