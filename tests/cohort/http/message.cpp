// SPDX-License-Identifier: MIT
// Methods, fields, requests and responses.
#include <cohort/http/message.hpp>

#include <cohort/http/detail/response_head.hpp>
#include <cohort/http/parser.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

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

class Chunks : public http::detail::BodySource {
public:
    explicit Chunks(std::vector<std::string> chunks) : chunks_(std::move(chunks)) {}
    Task<std::optional<std::string_view>> read_chunk() override {
        if (next_ == chunks_.size()) co_return std::nullopt;
        co_return chunks_[next_++];
    }

private:
    std::vector<std::string> chunks_;
    std::size_t next_ = 0;
};

Task<> read_twice(http::Body body, std::string& text) {
    text = co_await body.text();
    const auto more = co_await body.read();
    text += more ? " more" : " end";
}

std::string run_reading(http::Body body) {
    asio::io_context io;
    std::string text;
    asio::co_spawn(io, read_twice(body, text), [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
    return text;
}

} // namespace

TEST_CASE("every method has the name it is found by") {
    for (std::size_t i = 0; i != http::detail::method_names.size(); ++i) {
        const auto method = static_cast<http::Method>(i);
        CHECK(http::to_method(to_string(method)) == method);
    }
    CHECK(to_string(http::Method::del) == "DELETE");
    CHECK(to_string(http::Method::msearch) == "M-SEARCH");
    CHECK(to_string(http::Method::unlink) == "UNLINK");
    CHECK_FALSE(http::to_method("get"));
    CHECK_FALSE(http::to_method(""));
}

TEST_CASE("fields are found without regard to case, and may repeat") {
    http::Fields fields;
    fields.add("Content-Type", "text/plain");
    fields.add("Set-Cookie", "a=1");
    fields.add("set-cookie", "b=2");
    CHECK(fields.size() == 3);
    CHECK(fields.get("content-TYPE") == "text/plain");
    CHECK(fields.get("Set-Cookie") == "a=1");
    CHECK_FALSE(fields.get("Set"));
    std::string all;
    for (const http::Field field : fields) all.append(field.name).append("=").append(field.value).append(";");
    CHECK(all == "Content-Type=text/plain;Set-Cookie=a=1;set-cookie=b=2;");
    fields.set("SET-COOKIE", "c=3");
    CHECK(fields.size() == 2);
    CHECK(fields.get("set-cookie") == "c=3");
    CHECK(fields.remove("set-cookie") == 1);
    CHECK(fields.remove("set-cookie") == 0);
    CHECK_FALSE(fields.contains("set-cookie"));
    CHECK(fields.get("content-type") == "text/plain");
}

TEST_CASE("lists of tokens") {
    http::Fields fields;
    fields.add("Connection", "keep-alive , Upgrade");
    fields.add("Connection", "x");
    CHECK(fields.has_token("connection", "upgrade"));
    CHECK(fields.has_token("connection", "X"));
    CHECK_FALSE(fields.has_token("connection", "keep"));
    CHECK_FALSE(fields.has_token("upgrade", "x"));
}

TEST_CASE("a field cannot split a message") {
    http::Fields fields;
    CHECK_THROWS_AS(fields.add("A", "b\rc"), std::invalid_argument);
    CHECK_THROWS_AS(fields.add("A", "b\nc"), std::invalid_argument);
    CHECK_THROWS_AS(fields.add("A", std::string_view("b\0c", 3)), std::invalid_argument);
    CHECK_THROWS_AS(fields.add("", "b"), std::invalid_argument);
    CHECK_THROWS_AS(fields.add("A:", "b"), std::invalid_argument);
    CHECK_THROWS_AS(fields.add("A B", "b"), std::invalid_argument);
    fields.add("A", "kept");
    CHECK_THROWS_AS(fields.set("A", "x\r\nB: c"), std::invalid_argument);
    CHECK(fields.get("A") == "kept");
    CHECK_THROWS_AS(http::redirect("/x\r\nA: b"), std::invalid_argument);
}

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

TEST_CASE("a body is read to its end, and then there is nothing more") {
    Chunks chunks({"one ", "two ", "three"});
    CHECK(run_reading(http::Body(&chunks)) == "one two three end");
    CHECK(run_reading(http::Body()) == " end");
}

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
    CHECK(http::Error(404).status() == 404);
    CHECK(std::string{http::Error(404).what()} == "Not Found");
    CHECK(http::reason(299) == "Successful");
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
}
