// SPDX-License-Identifier: MIT
// Everything that is refused, wherever that happens, looks as the program wants it to look.
#include <cohort/http/serve.hpp>

#include "support/folder.hpp"
#include "support/http_server.hpp"

#include <cohort/http/file.hpp>
#include <cohort/http/router.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace cohort;
using namespace test;

namespace {

struct Nothing {
    explicit Nothing(asio::io_context&) {}
    void release() {}
};

http::Response in_json(int status) {
    http::Response response = http::json("{\"error\":" + std::to_string(status) + "}");
    return response.status(status);
}

Task<http::Response> explain(const http::Request&, std::exception_ptr failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const http::Error& error) {
        co_return in_json(error.status()).add("X-By", "on_error");
    } catch (const std::exception&) {
        co_return in_json(500).add("X-By", "on_error");
    }
}

Task<http::Response> explain_inside(const http::Request&, std::exception_ptr failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const http::Error& error) {
        co_return in_json(error.status()).add("X-By", "inner");
    }
}

Task<http::Response> pass_on(const http::Request&, std::exception_ptr failure) {
    std::rethrow_exception(failure); // at once: this is no coroutine
}

Task<http::Response> mark(const http::Request&, http::Next next) {
    http::Response response = co_await next();
    response.add("X-Marked", "yes");
    co_return response;
}

Task<http::Response> item(const http::Request&) { co_return http::json("{}"); }
Task<http::Response> read_form(const http::Request& request) {
    const http::Form form = co_await request.form();
    co_return http::text(std::to_string(form.size()));
}
Task<http::Response> read_text(const http::Request& request) { co_return http::text(co_await request.text(10)); }
Task<http::Response> read_body(const http::Request& request) { co_return http::text(co_await request.body().text()); }
Task<http::Response> fail(const http::Request&) { throw std::runtime_error("failed"); }
Task<http::Response> ask_who(const http::Request&) { throw http::Error(401).with("WWW-Authenticate", "Basic"); }
Task<> nothing(http::Upgraded&) { co_return; }
Task<http::Response> change(const http::Request&) { co_return http::upgrade("chat", nothing); }
Task<http::Response> impossible(const http::Request&) { co_return http::Response(99); }

http::Router<> make_router(const std::string& folder) {
    http::Router<> inner, passing, router;
    inner.on_error(explain_inside).get("/item", item);
    passing.on_error(pass_on).get("/item", item);
    router.on_error(explain).use(mark).mount("/inner", inner).mount("/passing", passing);
    router.get("/item", item).post("/form", read_form).post("/text", read_text).post("/body", read_body);
    router.get("/fail", fail).get("/who", ask_who).get("/chat", change).get("/impossible", impossible);
    router.any("/files/*path", http::Files(folder));
    return router;
}

Task<> serve_router(Nothing&, TcpAcceptor& acceptor, http::ServerOptions options) {
    Folder folder;
    std::ofstream(folder / "ten") << "0123456789";
    options.error_page = in_json;
    options.limits = {.head = 4096, .target = 1000, .fields = 20, .field = 2000, .body = 1000};
    const http::Router<> router = make_router(folder / "");
    co_await http::serve(acceptor, router, std::move(options));
}

struct Case {
    std::string request;
    int status;
    std::string_view by;             ///< the error handler; "": before there was a Request, or behind the router
    bool marked;                     ///< by the middleware
    std::string_view field = "\r\n"; ///< that the answer must have
};

std::string chunked(std::string_view target, std::string_view chunks) {
    return "POST " + std::string(target) + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
           std::string(chunks);
}

std::vector<Case> json_cases() {
    const std::string much(3000, 'x');
    std::string many;
    for (int i = 0; i != 30; ++i) many += "X: y\r\n";
    return {
        // What the router itself answers
        {get("/nowhere"), 404, "on_error", true},
        {"HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404, "on_error", true},
        {"OPTIONS /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404, "on_error", true},
        {get("/item%zz"), 404, "on_error", true},
        {get("/item%"), 404, "on_error", true},
        {get("/%00"), 404, "on_error", true},
        {post("/item", ""), 405, "on_error", true, "\r\nAllow: GET, HEAD, OPTIONS\r\n"},
        {"HEAD /form HTTP/1.1\r\nHost: h\r\n\r\n", 405, "on_error", true, "\r\nAllow: POST, OPTIONS\r\n"},
        {get("/form"), 405, "on_error", true, "\r\nAllow: POST, OPTIONS\r\n"},
        {get("/inner/nowhere"), 404, "inner", true},
        {post("/inner/item", ""), 405, "inner", true, "\r\nAllow: GET, HEAD, OPTIONS\r\n"},
        {get("/passing/nowhere"), 404, "on_error", true},
        {post("/passing/item", ""), 405, "on_error", true, "\r\nAllow: GET, HEAD, OPTIONS\r\n"},
        // What handlers throw, and what reading the body does
        {get("/fail"), 500, "on_error", false},
        {get("/who"), 401, "on_error", false, "\r\nWWW-Authenticate: Basic\r\n"},
        {post("/form", "a=b", "Content-Type: text/plain\r\n"), 415, "on_error", false},
        {post("/text", "more than ten"), 413, "on_error", false},
        {chunked("/body", "zz\r\n"), 400, "on_error", false},
        {chunked("/body", "5;\r\n"), 400, "on_error", false},
        {chunked("/body", "7d0\r\n" + std::string(2000, 'x') + "\r\n0\r\n\r\n"), 413, "on_error", false},
        {post("/files/ten", ""), 405, "on_error", false, "\r\nAllow: GET, HEAD\r\n"},
        {get("/files/ten", "Range: bytes=20-\r\n"), 416, "on_error", false, "\r\nContent-Range: bytes */10\r\n"},
        {get("/files/ten", "If-Match: \"x\"\r\n"), 412, "on_error", false},
        {get("/files/none"), 404, "on_error", false},
        {get("/files/%2e%2e/x"), 404, "on_error", false},
        // What the server makes of an answer
        {get("/chat"), 426, "", false, "\r\nUpgrade: chat\r\n"},
        {get("/impossible"), 500, "", false},
        // What is refused before there is a Request
        {"nonsense\r\n\r\n", 400, "", false},
        {"GET /item HTTP/1.1\r\n\r\n", 400, "", false},
        {"GET /item HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400, "", false},
        {"GET /it\x01em HTTP/1.1\r\nHost: h\r\n\r\n", 400, "", false},
        {"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 501, "", false},
        {"TRACE /item HTTP/1.1\r\nHost: h\r\n\r\n", 501, "", false},
        {"BREW /item HTTP/1.1\r\nHost: h\r\n\r\n", 501, "", false},
        {"GET /item HTTP/2.0\r\nHost: h\r\n\r\n", 505, "", false},
        {get("/" + much), 414, "", false},
        {get("/item", "X: " + much + "\r\n"), 431, "", false},
        {get("/item", many), 431, "", false},
        {get("/item", "Expect: tea\r\n"), 417, "", false},
        {post("/body", std::string(2000, 'x')), 413, "", false},
        {"POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "", false},
    };
}

void check_case(const Case& given, const std::string& response) {
    CHECK(status_of(response).starts_with("HTTP/1.1 " + std::to_string(given.status) + " "));
    CHECK(has(response, "\r\nContent-Type: application/json\r\n"));
    CHECK(has(response, given.field));
    CHECK(has(response, "\r\nX-Marked: yes\r\n") == given.marked);
    CHECK(has(response, "\r\nX-By: ") == !given.by.empty());
    if (!given.by.empty()) CHECK(has(response, "\r\nX-By: " + std::string(given.by) + "\r\n"));
    const bool is_head = given.request.starts_with("HEAD ");
    CHECK(body_of(response) == (is_head ? "" : "{\"error\":" + std::to_string(given.status) + "}"));
}

} // namespace

TEST_CASE("every refusal of a JSON API is JSON") {
    HttpServer<Nothing> server(serve_router);
    for (const Case& given : json_cases()) {
        CAPTURE(given.request);
        RawClient client(server.port);
        check_case(given, client.send(given.request).response(!given.request.starts_with("HEAD ")));
    }
}

TEST_CASE("what is asked with OPTIONS is answered, and passes through the middleware") {
    HttpServer<Nothing> server(serve_router);
    RawClient client(server.port);
    const std::string item_methods = client.send("OPTIONS /item HTTP/1.1\r\nHost: h\r\n\r\n").response();
    CHECK(status_of(item_methods) == "HTTP/1.1 204 No Content");
    CHECK(has(item_methods, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    CHECK(has(item_methods, "\r\nX-Marked: yes\r\n"));
    const std::string all_methods = client.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").response();
    CHECK(status_of(all_methods) == "HTTP/1.1 204 No Content");
    CHECK(has(all_methods, "\r\nX-Marked: yes\r\n"));
}

namespace {

Task<> no_body(http::BodyWriter&) { co_return; }

/// A page of this kind for each status.
http::Response page_for(int status) {
    if (status == 400) throw std::runtime_error("no page");
    if (status == 414) return http::stream(no_body);
    if (status == 431) return http::upgrade("x", nothing);
    return http::text("a page").set("X-Page", "yes");
}

Task<http::Response> throw_it(const http::Request& request) {
    if (request.path() == "/who") throw http::Error(401).with("WWW-Authenticate", "Basic").with("X-Page", "other");
    throw std::runtime_error("failed");
}

Task<> serve_with_pages(Nothing&, TcpAcceptor& acceptor, http::ServerOptions options) {
    options.error_page = page_for;
    options.limits = {.target = 100, .field = 2000};
    co_await http::serve(acceptor, throw_it, std::move(options));
}

} // namespace

TEST_CASE("an error page is one for handlers without a router, too, and cannot do harm") {
    HttpServer<Nothing> server(serve_with_pages);
    const auto ask = [&](const std::string& request) { return RawClient(server.port).send(request).response(); };
    const std::string failed = ask(get("/"));
    CHECK(status_of(failed) == "HTTP/1.1 500 Internal Server Error");
    CHECK(body_of(failed) == "a page");
    const std::string who = ask(get("/who"));
    CHECK(status_of(who) == "HTTP/1.1 401 Unauthorized");
    CHECK(has(who, "\r\nWWW-Authenticate: Basic\r\n"));
    CHECK(has(who, "\r\nX-Page: yes\r\n"));
    CHECK_FALSE(has(who, "other"));
    CHECK(body_of(ask("nonsense\r\n\r\n")) == "Bad Request\n");
    CHECK(body_of(ask(get("/" + std::string(200, 'x')))) == "URI Too Long\n");
    CHECK(body_of(ask(get("/", "X: " + std::string(3000, 'x') + "\r\n"))) == "Request Header Fields Too Large\n");
    CHECK(has(server.log(), "no page"));
}
