// SPDX-License-Identifier: MIT
// What a handler can ask of a request.
#include <cohort/http/request.hpp>

#include "support/handling.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

using namespace cohort;

namespace {

class Parsed : public test::ParsedRequest {
public:
    explicit Parsed(std::string_view target, std::string_view fields = "") : ParsedRequest("GET", target, fields) {}
};

/// A form that is sent in two pieces.
class Posted {
public:
    Posted(std::string_view type, const std::string& body)
        : chunks_({body.substr(0, body.size() / 2), body.substr(body.size() / 2)}),
          parsed_("POST", "/",
                  "Content-Type: " + std::string{type} + "\r\nContent-Length: " + std::to_string(body.size()) +
                      "\r\n") {
        parsed_.request().set_body_source(&chunks_);
    }
    const http::Request* operator->() const { return &*parsed_; }

private:
    test::Chunks chunks_;
    test::ParsedRequest parsed_;
};

template <class T>
Task<> keep(Task<T> task, std::optional<T>& result) {
    result = co_await std::move(task);
}

/// What the call gives, or the status of the http::Error that it throws.
template <class Call>
auto outcome(Call call) {
    using T = typename std::invoke_result_t<Call>::value_type;
    std::pair<std::optional<T>, int> result{};
    try {
        test::complete(keep<T>(call(), result.first));
    } catch (const http::Error& error) {
        result.second = error.status();
    }
    return result;
}

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

TEST_CASE("all parameters of a query") {
    const http::Form form = Parsed("/p?b=1&a=%20&b=2+3&flag&&=none")->query_form();
    REQUIRE(form.size() == 5);
    CHECK(form.begin()->name == "b");
    CHECK(form.get("a") == " ");
    CHECK(form.get("flag") == "");
    CHECK(form.get("") == "none");
    CHECK_FALSE(form.contains("c"));
    CHECK(form.all("b") == std::vector<std::string_view>{"1", "2 3"});
    CHECK(Parsed("/p")->query_form().empty());
}

TEST_CASE("cookies are found by their names") {
    const Parsed request("/",
                         "Cookie: a=1; b=\"two words\";c = 3 ; d; e==; A=4; a=5\r\nX: y\r\nCookie: f=6; a=7; g=\"\r\n");
    struct Row {
        const char* name;
        const char* value;
    };
    for (const Row& row : {Row{"a", "1"}, Row{"b", "two words"}, Row{"c", "3"}, Row{"e", "="}, Row{"A", "4"},
                           Row{"f", "6"}, Row{"g", "\""}}) {
        CAPTURE(row.name);
        CHECK(request->cookie(row.name) == row.value);
    }
    CHECK_FALSE(request->cookie("d"));
    CHECK_FALSE(request->cookie("x"));
    CHECK_FALSE(Parsed("/")->cookie("a"));
}

TEST_CASE("the type of a body") {
    CHECK(Parsed("/", "Content-Type: Text/HTML ; charset=utf-8\r\n")->content_type() == "Text/HTML");
    CHECK(Parsed("/", "Content-Type: Text/HTML;charset=utf-8\r\n")->is("text/html"));
    CHECK_FALSE(Parsed("/", "Content-Type: text/htmlx\r\n")->is("text/html"));
    CHECK(Parsed("/")->content_type() == "");
    CHECK_FALSE(Parsed("/")->is("text/html"));
}

TEST_CASE("a form in the body") {
    constexpr const char* type = "application/x-www-form-urlencoded";
    const Posted posted("APPLICATION/x-www-form-urlencoded; charset=utf-8", "name=J%C3%BCrgen+M&hobby=a&hobby=b%26");
    const auto [form, status] = outcome([&] { return posted->form(); });
    REQUIRE(form);
    CHECK(form->get("name") == "J\xc3\xbcrgen M");
    CHECK(form->all("hobby") == std::vector<std::string_view>{"a", "b&"});

    CHECK(outcome([request = Posted("text/plain", "a=b")] { return request->form(); }).second == 415);
    CHECK(outcome([request = Posted(type, "a=1&b=2&c=3")] { return request->form(2); }).second == 413);
    CHECK(outcome([request = Posted(type, "a=1&b=2&c=3")] { return request->form(3); }).first->size() == 3);
    std::string many;
    for (int i = 0; i != 1001; ++i) many += "a&";
    CHECK(outcome([&, request = Posted(type, many)] { return request->form(); }).second == 413);
    CHECK(outcome([&, request = Posted(type, many.substr(2))] { return request->form(); }).first->size() == 1000);
}

TEST_CASE("a body as text or bytes, no longer than the handler wants it") {
    CHECK(outcome([request = Posted("text/plain", "abc")] { return request->text(); }).first == "abc");
    CHECK(outcome([request = Posted("text/plain", "abc")] { return request->text(3); }).first == "abc");
    CHECK(outcome([request = Posted("text/plain", "abc")] { return request->text(2); }).second == 413);
    CHECK(outcome([request = Posted("text/plain", "abc")] { return request->bytes(3); }).first->size() == 3);
    CHECK(outcome([request = Posted("text/plain", "abc")] { return request->bytes(2); }).second == 413);
}
