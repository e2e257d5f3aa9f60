// SPDX-License-Identifier: MIT
#include <cohort/detail/printable.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using cohort::detail::printable;
using namespace std::string_view_literals;

TEST_CASE("what moves a cursor or ends a line is shown by its number, and nothing else is changed") {
    CHECK(printable("") == "");
    CHECK(printable("plain text, \\ and ~") == "plain text, \\ and ~");
    CHECK(printable("\xc3\xbc \xe2\x82\xac") == "\xc3\xbc \xe2\x82\xac");
    CHECK(printable("\x1b[2J") == "\\x1b[2J");
    CHECK(printable("a\nb\r\tc"sv) == "a\\x0ab\\x0d\\x09c");
    CHECK(printable("\0\x07\x7f"sv) == "\\x00\\x07\\x7f");
    CHECK(printable("\xc2\x9b"
                    "31m") == "\\xc2\\x9b31m");
    CHECK(printable("\xc2\xa0 \xc2") == "\xc2\xa0 \xc2");
}
