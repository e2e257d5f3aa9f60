// SPDX-License-Identifier: MIT
// Forms from their encoded text.
#include <cohort/http/form.hpp>

#include <cohort/http/status.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace cohort;

namespace {

std::string shown(const http::Form& form) {
    std::string text;
    for (const auto& [name, value] : form) text += "[" + name + "|" + value + "]";
    return text;
}

} // namespace

TEST_CASE("a form's text is decoded, whatever it is") {
    struct Row {
        const char* text;
        const char* form;
    };
    for (const Row& row : {
             Row{"", ""},
             Row{"a=1", "[a|1]"},
             Row{"a=1&b=2", "[a|1][b|2]"},
             Row{"a=1&a=2", "[a|1][a|2]"},
             Row{"a", "[a|]"},
             Row{"a=", "[a|]"},
             Row{"=1", "[|1]"},
             Row{"=", "[|]"},
             Row{"&&a=1&&", "[a|1]"},
             Row{"a=b=c", "[a|b=c]"},
             Row{"a+b=c+d", "[a b|c d]"},
             Row{"%61%3D%26=%2B%25", "[a=&|+%]"},
             Row{"a=%4x%&b=%", "[a|%4x%][b|%]"},
             Row{"a=1;b=2", "[a|1;b=2]"},
             Row{"a=\xc3\xbc&b=%C3%BC", "[a|\xc3\xbc][b|\xc3\xbc]"},
         }) {
        CAPTURE(row.text);
        CHECK(shown(http::parse_form(row.text)) == row.form);
    }
    CHECK(http::parse_form("a=%00").get("a") == std::string(1, '\0'));
    CHECK(http::parse_form("a&b", 2).size() == 2);
    CHECK_THROWS_AS(http::parse_form("a&b&c", 2), http::Error);
    CHECK(http::parse_form("a=1&b=2&a=3").all("a") == std::vector<std::string_view>{"1", "3"});
}
