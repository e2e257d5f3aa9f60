// SPDX-License-Identifier: MIT
// Conditions and ranges, by the tables of RFC 9110.
#include <cohort/http/detail/respond/conditional.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <initializer_list>
#include <string>

using namespace cohort;
using namespace cohort::http::detail;

namespace {

constexpr std::time_t now = 784111777 + 3600;
constexpr const char* before = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr const char* same = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* after = "Sun, 06 Nov 1994 08:49:38 GMT";
const Validators current{"\"a\"", 784111777};

http::Fields fields_of(std::initializer_list<http::Field> list) {
    http::Fields fields;
    for (const http::Field field : list)
        if (!field.name.empty()) fields.add(field.name, field.value);
    return fields;
}

} // namespace

TEST_CASE("each condition, and which of two counts") {
    struct Row {
        http::Field first;
        http::Field second;
        int status;
    };
    for (const Row& row : {
             Row{{}, {}, 0},
             Row{{"If-Match", "\"a\""}, {}, 0},
             Row{{"If-Match", "*"}, {}, 0},
             Row{{"If-Match", "\"b\", \"a\""}, {}, 0},
             Row{{"If-Match", "\"b\""}, {"If-Match", "\"a\""}, 0},
             Row{{"If-Match", "\"b\""}, {}, 412},
             Row{{"If-Match", "W/\"a\""}, {}, 412},
             Row{{"If-Match", "a"}, {}, 412},
             Row{{"If-Match", ""}, {}, 412},
             Row{{"If-Match", "\"b, \"a\""}, {}, 412},
             Row{{"If-Match", "\"a\""}, {"If-Unmodified-Since", before}, 0},
             Row{{"If-Match", "\"b\""}, {"If-Unmodified-Since", after}, 412},
             Row{{"If-Match", "\"b\""}, {"If-None-Match", "\"a\""}, 412},
             Row{{"If-Match", "\"a\""}, {"If-None-Match", "\"a\""}, 304},
             Row{{"If-Unmodified-Since", before}, {}, 412},
             Row{{"If-Unmodified-Since", same}, {}, 0},
             Row{{"If-Unmodified-Since", after}, {}, 0},
             Row{{"If-Unmodified-Since", "Sunday, 06-Nov-94 08:49:36 GMT"}, {}, 412},
             Row{{"If-Unmodified-Since", "whenever"}, {}, 0},
             Row{{"If-Unmodified-Since", same}, {"If-Modified-Since", same}, 304},
             Row{{"If-None-Match", "\"a\""}, {}, 304},
             Row{{"If-None-Match", "W/\"a\""}, {}, 304},
             Row{{"If-None-Match", "*"}, {}, 304},
             Row{{"If-None-Match", "\"b\",, W/\"c,\" ,\"a\""}, {}, 304},
             Row{{"If-None-Match", "\"b\""}, {}, 0},
             Row{{"If-None-Match", "\"b\""}, {"If-None-Match", "\"a\""}, 304},
             Row{{"If-None-Match", "\"b\""}, {"If-Modified-Since", after}, 0},
             Row{{"If-None-Match", "\"a\""}, {"If-Modified-Since", before}, 304},
             Row{{"If-None-Match", "a"}, {}, 0},
             Row{{"If-None-Match", "\"a"}, {}, 0},
             Row{{"If-None-Match", "w/\"a\""}, {}, 0},
             Row{{"If-Modified-Since", before}, {}, 0},
             Row{{"If-Modified-Since", same}, {}, 304},
             Row{{"If-Modified-Since", after}, {}, 304},
             Row{{"If-Modified-Since", "Sun Nov  6 08:49:37 1994"}, {}, 304},
             Row{{"If-Modified-Since", "0"}, {}, 0},
         }) {
        CAPTURE(std::string(row.first.name));
        CAPTURE(std::string(row.first.value));
        CAPTURE(std::string(row.second.name));
        CAPTURE(std::string(row.second.value));
        CHECK(check_conditions(fields_of({row.first, row.second}), current, now) == row.status);
    }
}

TEST_CASE("a part fits only to the very state that the client has") {
    const auto holds = [](const char* value, std::time_t at = now) {
        return check_if_range(fields_of({{"If-Range", value}}), current, at);
    };
    CHECK(check_if_range({}, current, now));
    CHECK(holds("\"a\""));
    CHECK_FALSE(holds("W/\"a\""));
    CHECK_FALSE(holds("\"b\""));
    CHECK(holds(same));
    CHECK_FALSE(holds(before));
    CHECK_FALSE(holds(after));
    CHECK_FALSE(holds("a"));
    CHECK_FALSE(holds(same, current.modified));
    CHECK(holds(same, current.modified + 1));
}

TEST_CASE("ranges") {
    struct Row {
        const char* text;
        std::uint64_t size;
        std::string part;
    };
    for (const Row& row : {
             Row{"bytes=0-0", 10, "0+1"},
             Row{"bytes=0-9", 10, "0+10"},
             Row{"bytes=0-10", 10, "0+10"},
             Row{"bytes=2-4", 10, "2+3"},
             Row{"bytes=9-", 10, "9+1"},
             Row{"bytes=0-", 10, "0+10"},
             Row{"bytes=-1", 10, "9+1"},
             Row{"bytes=-10", 10, "0+10"},
             Row{"bytes=-11", 10, "0+10"},
             Row{"BYTES= 1-2 ", 10, "1+2"},
             Row{"bytes=1-18446744073709551616", 10, "1+9"},
             Row{"bytes=-99999999999999999999999", 10, "0+10"},
             Row{"bytes=18446744073709551614-18446744073709551615", UINT64_MAX, "18446744073709551614+1"},
             Row{"bytes=10-", 10, "none"},
             Row{"bytes=10-20", 10, "none"},
             Row{"bytes=99999999999999999999999-", 10, "none"},
             Row{"bytes=-0", 10, "none"},
             Row{"bytes=0-0", 0, "none"},
             Row{"bytes=0-", 0, "none"},
             Row{"bytes=-1", 0, "all"},
             Row{"bytes=4-2", 10, "all"},
             Row{"bytes=0-1,3-4", 10, "all"},
             Row{"bytes=0-1,", 10, "all"},
             Row{"bytes=", 10, "all"},
             Row{"bytes", 10, "all"},
             Row{"", 10, "all"},
             Row{"bytes=-", 10, "all"},
             Row{"bytes=1", 10, "all"},
             Row{"bytes=--1", 10, "all"},
             Row{"bytes=1--2", 10, "all"},
             Row{"bytes=1 - 2", 10, "all"},
             Row{"bytes=+1-2", 10, "all"},
             Row{"bytes=0x1-2", 10, "all"},
             Row{"bytes=a-b", 10, "all"},
             Row{"bytes =1-2", 10, "all"},
             Row{"lines=1-2", 10, "all"},
             Row{"bytes:1-2", 10, "all"},
         }) {
        CAPTURE(row.text);
        const Range range = parse_range(row.text, row.size);
        if (row.part == "none")
            CHECK(range.kind == Range::Kind::unsatisfiable);
        else if (row.part == "all")
            CHECK((range.kind == Range::Kind::whole && range.begin == 0 && range.count == row.size));
        else
            CHECK((range.kind == Range::Kind::part ? std::to_string(range.begin) + "+" + std::to_string(range.count)
                                                   : "") == row.part);
    }
}
