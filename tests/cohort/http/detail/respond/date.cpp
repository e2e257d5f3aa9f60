// SPDX-License-Identifier: MIT
// Dates as HTTP writes them, now and long ago.
#include <cohort/http/detail/respond/date.hpp>

#include <doctest/doctest.h>

#include <ctime>
#include <string>

using namespace cohort::http::detail;

namespace {

std::string written(std::time_t time) {
    std::string text;
    append_date(text, time);
    return text;
}

constexpr std::time_t new_year = 1'767'225'600; // 2026-01-01

} // namespace

TEST_CASE("a date is written and read again") {
    struct Row {
        std::time_t time;
        const char* text;
    };
    for (const Row& row : {
             Row{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
             Row{784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
             Row{951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
             Row{951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
             Row{new_year, "Thu, 01 Jan 2026 00:00:00 GMT"},
             Row{253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
         }) {
        CHECK(written(row.time) == row.text);
        CHECK(parse_date(row.text, new_year) == row.time);
    }
    CHECK(written(-1) == written(0));
    CHECK(written(253402300800) == written(253402300799));
    for (std::time_t time = 1; time < 4'000'000'000; time += 12'345'678)
        CHECK(parse_date(written(time), new_year) == time);
}

TEST_CASE("dates of old clients are read") {
    CHECK(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", new_year) == 784111777);
    CHECK(parse_date("Sun Nov  6 08:49:37 1994", new_year) == 784111777);
    CHECK(parse_date("Wed Nov 16 08:49:37 1994", new_year) == 784111777 + 10 * 86400);
    CHECK(parse_date("Wednesday, 01-Jan-76 00:00:00 GMT", new_year) == 3345062400); // 50 years from then: 2076
    CHECK(parse_date("Saturday, 01-Jan-77 00:00:00 GMT", new_year) == 220924800);   // 1977
    CHECK(parse_date("Wednesday, 31-Dec-25 23:59:60 GMT", new_year) == new_year);   // a leap second
}

TEST_CASE("what is no date is refused") {
    for (const char* text : {
             "",
             "0",
             "Sun",
             "Sun, ",
             "Sun, 06 Nov 1994 08:49:37",
             "Sun, 06 Nov 1994 08:49:37 GMT ",
             "Sun, 06 Nov 1994 08:49:37 UTC",
             "Sun, 06 Nov 1994 08:49:37 +0000",
             "sun, 06 nov 1994 08:49:37 gmt",
             "Sun, 6 Nov 1994 08:49:37 GMT",
             "Sun, 06 anF 1994 08:49:37 GMT",
             "Sun, 06 Nov 94 08:49:37 GMT",
             "Sun, 06-Nov-94 08:49:37 GMT",
             "Sun, 31 Nov 1994 08:49:37 GMT",
             "Sun, 29 Feb 1900 08:49:37 GMT",
             "Sun, 00 Nov 1994 08:49:37 GMT",
             "Sun, 06 Nov 1994 24:00:00 GMT",
             "Sun, 06 Nov 1994 08:60:37 GMT",
             "Sun, 06 Nov 1994 08:49:61 GMT",
             "Sun, 06 Nov 1994 -8:49:37 GMT",
             "Sunday, 06-Nov-1994 08:49:37 GMT",
             "Noday, 06-Nov-94 08:49:37 GMT",
             "Sun Nov 6 08:49:37 1994",
             "Sun Nov  6 08:49:37 1994 GMT",
             "Sun Nov  6 08:49:37 94",
         }) {
        CAPTURE(text);
        CHECK_FALSE(parse_date(text, new_year));
    }
}
