// SPDX-License-Identifier: MIT
// Responses, how they are made and what goes on the wire.
#include <cohort/http/response.hpp>

#include <cohort/http/detail/respond/response_head.hpp>
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using namespace cohort;

TEST_CASE("makers of responses") {
    CHECK(http::text("a").status() == 200);
    CHECK(http::text("a").body() == "a");
    CHECK(http::text("a").default_type() == "text/plain; charset=utf-8");
    CHECK(http::html("a").default_type() == "text/html; charset=utf-8");
    CHECK(http::json("{}").default_type() == "application/json");
    CHECK(http::status(404).body() == "Not Found\n");
    CHECK(http::status(204).body().empty());
    CHECK(http::redirect("/x").status() == 302);
    CHECK(http::redirect("/x", 308).fields().get("location") == "/x");
    const http::Response streamed = http::stream([](http::BodyWriter&) -> Task<> { co_return; }, 5);
    CHECK(streamed.streamed());
    CHECK(streamed.length() == 5);
}

TEST_CASE("a response cannot be split by what it is made of") {
    CHECK_THROWS_AS(http::redirect("/x\r\nA: b"), std::invalid_argument);
}

TEST_CASE("cookies are set and cleared") {
    http::Response response = http::text("a");
    response.set_cookie({.name = "a", .value = "1"}).set_cookie({.name = "b", .secure = true});
    response.clear_cookie("a").clear_cookie("__Secure-b", "/x", "example.com");
    std::string all;
    for (const http::Field field : response.fields()) all.append(field.name).append(": ").append(field.value) += '\n';
    CHECK(all == "Set-Cookie: a=1; Path=/; HttpOnly; SameSite=Lax\n"
                 "Set-Cookie: b=; Path=/; Secure; HttpOnly; SameSite=Lax\n"
                 "Set-Cookie: a=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax\n"
                 "Set-Cookie: __Secure-b=; Path=/x; Domain=example.com; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 "
                 "GMT; Secure; HttpOnly; SameSite=Lax\n");
    CHECK_THROWS_AS(response.set_cookie({.name = "a", .value = "\r\nX: y"}), std::invalid_argument);
    CHECK(response.fields().size() == 4);
}

TEST_CASE("a response's head in wire form") {
    http::detail::DateLine date;
    CHECK(date.at(784111777) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    CHECK(date.at(784111778) == "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    std::string out;
    http::detail::Framing framing;
    framing.length = 3;
    http::detail::append_head(out, http::text("abc"), framing, "Date: x\r\n");
    CHECK(out == "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\n");
    out.clear();
    framing.close = true;
    http::Response typed = http::status(404);
    typed.set("Content-Type", "text/x").add("Transfer-Encoding", "chunked").add("Connection", "x");
    http::detail::append_head(out, typed, framing, "");
    CHECK(out == "HTTP/1.1 404 Not Found\r\nContent-Type: text/x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
    out.clear();
    http::detail::append_head(out, http::Response(204), {}, "");
    CHECK(out == "HTTP/1.1 204 No Content\r\n\r\n");
    out.clear();
    http::detail::append_head(out, http::text("not sent").status(205), {.length = 8}, "");
    CHECK(out == "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");
    // Also in an answer to HEAD, whose handler may say the length of what GET would get.
    const std::pair<int, std::string> rows[] = {{200, "\r\nContent-Length: 5\r\n"},
                                                {304, "\r\nContent-Length: 5\r\n"},
                                                {205, "\r\nContent-Length: 0\r\n"},
                                                {204, ""}};
    for (const auto& [status, length] : rows) {
        CAPTURE(status);
        http::Response response(status);
        response.set("Content-Length", "5");
        out.clear();
        http::detail::append_head(out, response, {.head_only = true, .length = 0}, "");
        const auto found = out.find("\r\nContent-Length: ");
        CHECK((found == out.npos) == length.empty());
        if (!length.empty()) CHECK(out.substr(found, length.size()) == length);
        CHECK(out.find("Content-Length", found + 3) == out.npos);
    }
}
