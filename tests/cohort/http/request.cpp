// SPDX-License-Identifier: MIT
// What a handler can ask of a request.
#include <cohort/http/request.hpp>

#include <cohort/http/parser.hpp>
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <type_traits>

using namespace cohort;

namespace {

/// A request made of the text of its head.
class Parsed {
public:
    explicit Parsed(std::string_view target, std::string_view fields = "") {
        const std::string head =
            "GET " + std::string{target} + " HTTP/1.1\r\nHost: h\r\n" + std::string{fields} + "\r\n";
        REQUIRE(parser_.parse(head).event == http::ParseEvent::head);
    }
    const http::Request* operator->() const { return &parser_.request(); }

private:
    http::Limits limits_;
    http::RequestParser parser_{limits_};
};

} // namespace

TEST_CASE("query parameters are decoded") {
    const Parsed request("/p?name=J%C3%BCrgen+M&flag&a%20b=1&bad=%4x%&twice=1&twice=2&empty=");
    CHECK(request->path() == "/p");
    CHECK(request->query("name") == "J\xc3\xbcrgen M");
    CHECK(request->query("flag") == "");
    CHECK(request->query("empty") == "");
    CHECK(request->query("a b") == "1");
    CHECK(request->query("bad") == "%4x%");
    CHECK(request->query("twice") == "1");
    CHECK_FALSE(request->query("none"));
    CHECK(Parsed("/p")->query().empty());
    CHECK(Parsed("/p?")->query().empty());
    CHECK(Parsed("/p?a?b")->query() == "a?b");
    CHECK_FALSE(Parsed("/p")->param("name"));
}

TEST_CASE("a request's fields") {
    const Parsed request("/", "Accept: text/html\r\nX-Y:  z \r\n");
    CHECK(request->header("host") == "h");
    CHECK(request->header("ACCEPT") == "text/html");
    CHECK(request->header("x-y") == "z");
    CHECK_FALSE(request->header("cookie"));
    CHECK(request->version_minor() == 1);
    CHECK_FALSE(request->has_body());
    static_assert(!std::is_copy_constructible_v<http::Request>);
}
