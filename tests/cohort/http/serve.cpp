// SPDX-License-Identifier: MIT
// The server over real sockets: a server on a thread of its own, a blocking client with a deadline in the test.
#include <cohort/http/serve.hpp>

#include "support/http_server.hpp"
#include "support/process.hpp"
#include "support/spawn.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

using namespace cohort;
using namespace test;
using namespace std::chrono_literals;

namespace {

/// What handlers share with the test.
struct HttpApp {
    explicit HttpApp(asio::io_context& loop) : io(loop), gate(loop, asio::steady_timer::time_point::max()) {}

    asio::io_context& io;
    asio::steady_timer gate; ///< handlers of /wait wait here
    std::atomic<int> calls = 0;
    std::atomic<int> waiting = 0;
    std::atomic<std::size_t> most_at_once = 0;
    std::vector<std::pair<detail::UniqueFd, std::string>> handed_over{};

    void release() { gate.cancel(); }
};

Task<http::Response> route(HttpApp& app, const http::Request& request);

Task<> serve_app(HttpApp& app, TcpAcceptor& acceptor, http::ServerOptions options) {
    co_await http::serve(app, acceptor, route, std::move(options));
}

/// Another server goes on when this one stops.
struct Successor {
    Task<std::optional<Socket>> accept() { return acceptor.accept(); }
    static bool hands_over() { return true; }
    bool hand_over(Socket& socket, std::string state) const {
        app.handed_over.emplace_back(socket.take(), std::move(state));
        return true;
    }

    HttpApp& app;
    TcpAcceptor& acceptor;
};

Task<> serve_until_successor(HttpApp& app, TcpAcceptor& acceptor, http::ServerOptions options) {
    Successor successor{app, acceptor};
    co_await http::serve(app, successor, route, std::move(options));
}

class TestServer : public HttpServer<HttpApp> {
public:
    explicit TestServer(http::ServerOptions options = {}, Serve serve = serve_app)
        : HttpServer(serve, std::move(options)) {}

    void open_gate() {
        post([this] { app.release(); });
    }

    /// Whether `n` handlers wait at the gate, or do so within the deadline.
    bool waits(int n) {
        return eventually([this, n] { return app.waiting == n; });
    }
};

struct PlainClient : RawClient {
    explicit PlainClient(const TestServer& server) : RawClient(server.port) {}
};

Task<http::Response> echo_stream(const http::Request& request) {
    std::string all;
    while (true) {
        const auto chunk = co_await request.body().read();
        if (!chunk) break;
        all += *chunk;
    }
    co_return http::text(std::move(all));
}

Task<> count_up(http::BodyWriter& writer) {
    for (const std::string_view part : {"one,", "two,", "three"}) co_await writer.write(part);
}

Task<> write_and_echo(http::BodyWriter& writer, const http::Request& request) {
    co_await writer.write("begins: ");
    const std::string body = co_await request.body().text();
    co_await writer.write(body);
}

Task<> write_much(http::BodyWriter& writer) {
    const std::string block(100'000, 'x');
    for (int i = 0; i != 30; ++i) co_await writer.write(block);
}

/// How much was written at most before others had a turn.
struct Turns {
    asio::io_context& io;
    std::size_t since_turn = 0;
    std::size_t most = 0;
    bool over = false;

    static void take_one(const std::shared_ptr<Turns>& turns) {
        turns->since_turn = 0;
        if (!turns->over) asio::post(turns->io, [turns] { take_one(turns); });
    }
    void wrote(std::size_t count) { most = std::max(most, since_turn += count); }
};

Task<> write_by_turns(http::BodyWriter& writer, std::shared_ptr<Turns> turns, HttpApp& app) {
    const std::string block(64 * 1024, 'x');
    try {
        for (int i = 0; i != 160; ++i) {
            co_await writer.write(block);
            turns->wrote(block.size());
        }
        const std::string large(300'000, 'y');
        co_await writer.write(large);
    } catch (const std::exception&) {
        turns->most = SIZE_MAX;
    }
    turns->over = true;
    app.most_at_once = turns->most;
}

Task<> write_until_told(http::BodyWriter& writer, HttpApp& app) {
    asio::steady_timer timer(app.io);
    while (!writer.draining()) {
        co_await writer.write("x");
        timer.expires_after(2ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

Task<> write_and_fail(http::BodyWriter& writer) {
    co_await writer.write("part");
    throw std::runtime_error("producer failed");
}

Task<> fail_as_teapot() {
    co_await asio::post(asio::use_awaitable);
    throw http::Error(418, "inner reason");
}

Task<> fail_twice() {
    using namespace asio::experimental::awaitable_operators;
    co_await (fail_as_teapot() && fail_as_teapot());
}

Task<http::Response> wait_at_gate(HttpApp& app) {
    ++app.waiting;
    std::error_code error;
    co_await app.gate.async_wait(asio::redirect_error(asio::use_awaitable, error));
    --app.waiting;
    co_return http::text("waited");
}

Task<http::Response> route(HttpApp& app, const http::Request& request) {
    ++app.calls;
    const std::string_view path = request.path();
    if (path == "/echo") co_return http::text(co_await request.body().text());
    if (path == "/echo-stream") co_return co_await echo_stream(request);
    if (path == "/echo-late")
        co_return http::stream([&request](http::BodyWriter& out) { return write_and_echo(out, request); });
    if (path == "/first") {
        const auto chunk = co_await request.body().read();
        co_return http::text(std::string{chunk.value_or("none")}.substr(0, 1));
    }
    if (path == "/wait") co_return co_await wait_at_gate(app);
    if (path == "/stream") co_return http::stream(count_up);
    if (path == "/stream-13") co_return http::stream(count_up, 13);
    if (path == "/stream-20") co_return http::stream(count_up, 20);
    if (path == "/stream-5") co_return http::stream(count_up, 5);
    if (path == "/stream-much") co_return http::stream(write_much);
    if (path == "/stream-beside-body") co_return http::stream(count_up).body(std::string(20'000, 'b'));
    if (path == "/stream-by-turns") {
        const auto turns = std::make_shared<Turns>(app.io);
        Turns::take_one(turns);
        co_return http::stream([&app, turns](http::BodyWriter& out) { return write_by_turns(out, turns, app); });
    }
    if (path == "/stream-until-told")
        co_return http::stream([&app](http::BodyWriter& out) { return write_until_told(out, app); });
    if (path == "/stream-fail") co_return http::stream(write_and_fail);
    if (path == "/large") co_return http::text(std::string(3'000'000, 'y'));
    if (path == "/throw") throw std::runtime_error("secret\n\x1b[2J");
    if (path == "/throw-int") throw 1;
    if (path == "/throw-beside") co_await fail_twice();
    if (path == "/bad-alloc") throw std::bad_alloc();
    if (path == "/teapot") throw http::Error(418, "inner reason");
    if (path == "/split") co_return http::text("x").add("A", "b\r\nEvil: yes");
    if (path == "/no-content") co_return http::status(204);
    if (path == "/not-modified") co_return http::Response(304).body("must not be sent").add("ETag", "\"1\"");
    if (path == "/status-99") co_return http::Response(99);
    if (path == "/close") co_return http::text("bye").add("Connection", "close");
    if (path == "/fields")
        co_return http::json("{}").add("A", "1").add("a", "2").set("Content-Length", "999").add("Date", "now");
    co_return http::text("hello " + std::string{path} + "\n");
}

/// For tests that end with the server's closing while the client keeps its side open.
http::ServerOptions short_linger() {
    http::ServerOptions options;
    options.linger_timeout = 40ms;
    return options;
}

http::ServerOptions quick() {
    http::ServerOptions options;
    // Long enough for what is to be in time, also on a busy machine.
    options.head_timeout = options.body_timeout = options.idle_timeout = options.fresh_timeout = 200ms;
    options.linger_timeout = 200ms;
    return options;
}

} // namespace

TEST_CASE("requests on one connection are answered one after the other") {
    TestServer server;
    PlainClient client(server);
    for (const char* path : {"/a", "/b", "/c"}) {
        const std::string response = client.send(get(path)).response();
        CHECK(status_of(response) == "HTTP/1.1 200 OK");
        CHECK(body_of(response) == "hello " + std::string{path} + "\n");
        CHECK(has(response, "\r\nDate: "));
        CHECK(has(response, " GMT\r\n"));
        CHECK(has(response, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
        CHECK_FALSE(closes(response));
    }
}

TEST_CASE("a head that comes byte by byte is the same request") {
    TestServer server;
    PlainClient client(server);
    for (const char c : get("/slow")) client.send({&c, 1});
    CHECK(body_of(client.response()) == "hello /slow\n");
}

TEST_CASE("pipelined requests are answered in order, and rubbish behind them destroys nothing") {
    TestServer server;
    PlainClient client(server);
    std::string requests;
    for (int i = 0; i != 200; ++i) requests += get("/" + std::to_string(i));
    requests += post("/echo", "body in the middle") + get("/last") + "\x01rubbish\r\n\r\n";
    client.send(requests);
    for (int i = 0; i != 200; ++i) CHECK(body_of(client.response()) == "hello /" + std::to_string(i) + "\n");
    CHECK(body_of(client.response()) == "body in the middle");
    CHECK(body_of(client.response()) == "hello /last\n");
    const std::string refusal = client.response();
    CHECK(status_of(refusal) == "HTTP/1.1 400 Bad Request");
    CHECK(closes(refusal));
    client.send_end();
    CHECK(client.rest().empty());
}

TEST_CASE("an answer is not held back by a later handler that waits") {
    TestServer server;
    PlainClient client(server);
    client.send(get("/first-answer") + get("/wait"));
    CHECK(body_of(client.response()) == "hello /first-answer\n");
    REQUIRE(server.waits(1));
    server.open_gate();
    CHECK(body_of(client.response()) == "waited");
}

TEST_CASE("the handlers of one connection run one at a time") {
    TestServer server;
    PlainClient client(server);
    client.send(get("/wait") + get("/wait") + get("/x"));
    for (int calls = 1; calls != 3; ++calls) {
        REQUIRE(server.waits(1));
        CHECK(server.app.calls == calls);
        server.open_gate();
        CHECK(body_of(client.response()) == "waited");
    }
    CHECK(body_of(client.response()) == "hello /x\n");
}

TEST_CASE("requests are counted from their head to the end of their answer, however they end") {
    TestServer server;
    PlainClient client(server);
    client.send(get("/a") + get("/b"));
    CHECK(server.ends(2));
    CHECK(server.begun() == 2);
    client.send("GET /half");
    client.send(" HTTP/1.1\r\nHost: h\r\n\r\n" + get("/throw") + get("/wait"));
    REQUIRE(server.waits(1));
    CHECK(server.begun() == 5);
    CHECK(server.ends(4));
    server.open_gate();
    CHECK(server.ends(5));
    client.send("rubbish\r\n\r\n"); // is none
    client.send_end();
    client.rest();
    CHECK(server.begun() == 5);
    PlainClient impatient(server);
    impatient.send(get("/wait"));
    REQUIRE(server.waits(1));
    server.cancel();
    CHECK(server.ends(6));
    CHECK(server.begun() == 6);
}

TEST_CASE("connections do not wait for each other") {
    TestServer server;
    PlainClient slow(server);
    PlainClient fast(server);
    slow.send(get("/wait"));
    REQUIRE(server.waits(1));
    CHECK(body_of(fast.send(get("/x")).response()) == "hello /x\n");
    server.open_gate();
    CHECK(body_of(slow.response()) == "waited");
}

TEST_CASE("nothing is served after Connection: close") {
    TestServer server;
    SUBCASE("asked by the client") {
        PlainClient client(server);
        const std::string all = client.send(get("/1", "Connection: close\r\n") + get("/2")).rest();
        CHECK(closes(all));
        CHECK(has(all, "hello /1"));
        CHECK_FALSE(has(all, "hello /2"));
    }
    SUBCASE("asked by the handler") {
        PlainClient client(server);
        client.send(get("/close") + get("/2"));
        client.send_end();
        const std::string all = client.rest();
        CHECK(closes(all));
        CHECK(all.ends_with("bye"));
    }
}

TEST_CASE("HTTP/1.0") {
    TestServer server;
    PlainClient closing(server);
    const std::string response = closing.send("GET / HTTP/1.0\r\n\r\n").rest();
    CHECK(closes(response));
    CHECK(body_of(response) == "hello /\n");
    PlainClient keeping(server);
    const std::string request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    CHECK(has(keeping.send(request).response(), "\r\nConnection: keep-alive\r\n"));
    CHECK(body_of(keeping.send(request).response()) == "hello /\n");
    PlainClient streaming(server);
    const std::string stream = streaming.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").rest();
    CHECK(closes(stream));
    CHECK_FALSE(has(stream, "Transfer-Encoding"));
    CHECK(body_of(stream) == "one,two,three");
}

TEST_CASE("HEAD, 204 and 304 have no body") {
    TestServer server;
    PlainClient client(server);
    const std::string head = client.send("HEAD /abc HTTP/1.1\r\nHost: h\r\n\r\n").response(false);
    CHECK(has(head, "\r\nContent-Length: 11\r\n"));
    const std::string stream = client.send("HEAD /stream-13 HTTP/1.1\r\nHost: h\r\n\r\n").response(false);
    CHECK(has(stream, "\r\nContent-Length: 13\r\n"));
    const std::string none = client.send(get("/no-content")).response(false);
    CHECK(status_of(none) == "HTTP/1.1 204 No Content");
    CHECK_FALSE(has(none, "Content-Length"));
    const std::string unchanged = client.send(get("/not-modified")).response(false);
    CHECK(status_of(unchanged) == "HTTP/1.1 304 Not Modified");
    CHECK(has(unchanged, "\r\nETag: \"1\"\r\n"));
    CHECK(body_of(client.send(get("/z")).response()) == "hello /z\n");
}

TEST_CASE("bodies come in with a length and in chunks") {
    TestServer server;
    PlainClient client(server);
    for (const char* path : {"/echo", "/echo-stream"}) {
        CAPTURE(path);
        CHECK(body_of(client.send(post(path, "some text")).response()) == "some text");
        CHECK(body_of(client.send(post(path, "")).response()).empty());
        const std::string large(500'000, 'q');
        CHECK(body_of(client.send(post(path, large)).response()) == large);
        const std::string head =
            "PUT " + std::string{path} + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(head + "5\r\nhello\r\n").send("6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n");
        CHECK(body_of(client.response()) == "hello world");
    }
}

TEST_CASE("streamed responses") {
    TestServer server;
    PlainClient client(server);
    const std::string chunked = client.send(get("/stream")).response();
    CHECK(has(chunked, "\r\nTransfer-Encoding: chunked\r\n"));
    const std::string_view stream = "4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n";
    CHECK(client.take(stream.size()) == stream);
    CHECK(body_of(client.send(get("/stream-beside-body")).response()).empty());
    CHECK(client.take(stream.size()) == stream);
    CHECK(body_of(client.send(get("/stream-13")).response()) == "one,two,three");
    CHECK(body_of(client.send(get("/large")).response()) == std::string(3'000'000, 'y'));
    CHECK(body_of(client.send(get("/after")).response()) == "hello /after\n");
    PlainClient much(server);
    const std::string all = much.send(get("/stream-much", "Connection: close\r\n")).rest();
    CHECK(std::count(all.begin(), all.end(), 'x') == 3'000'000);
    CHECK(all.ends_with("\r\n0\r\n\r\n"));
}

TEST_CASE("a streamed body of another length than declared, or that fails, cuts the connection") {
    TestServer server;
    PlainClient few(server);
    CHECK(body_of(few.send(get("/stream-20")).rest()).starts_with("one,two,three"));
    CHECK(has(server.log(), "shorter than its declared length"));
    PlainClient many(server);
    CHECK(has(many.send(get("/stream-5")).rest(), "Content-Length: 5\r\n"));
    CHECK(has(server.log(), "longer than its declared length"));
    PlainClient failing(server);
    CHECK_FALSE(failing.send(get("/stream-fail")).rest().ends_with("0\r\n\r\n"));
    CHECK(has(server.log(), "producer failed"));
}

TEST_CASE("a handler that throws is answered and the server lives") {
    TestServer server;
    PlainClient client(server);
    const std::string response = client.send(get("/throw")).response();
    CHECK(status_of(response) == "HTTP/1.1 500 Internal Server Error");
    CHECK_FALSE(has(response, "secret"));
    CHECK(has(server.log(), "secret\\x0a\\x1b[2J"));
    CHECK(status_of(client.send(get("/throw-int")).response()) == "HTTP/1.1 500 Internal Server Error");
    CHECK(status_of(client.send(get("/bad-alloc")).response()) == "HTTP/1.1 503 Service Unavailable");
    const std::string teapot = client.send(get("/teapot")).response();
    CHECK(status_of(teapot).starts_with("HTTP/1.1 418 "));
    CHECK_FALSE(has(teapot, "inner reason"));
    CHECK(status_of(client.send(get("/throw-beside")).response()).starts_with("HTTP/1.1 418 "));
    const std::string split = client.send(get("/split")).response();
    CHECK(status_of(split) == "HTTP/1.1 500 Internal Server Error");
    CHECK_FALSE(has(split, "Evil"));
    CHECK(status_of(client.send(get("/status-99")).response()) == "HTTP/1.1 500 Internal Server Error");
    CHECK(body_of(client.send(get("/alive")).response()) == "hello /alive\n");
}

TEST_CASE("the handler's fields are sent, and framing stays the server's") {
    TestServer server;
    PlainClient client(server);
    const std::string response = client.send(get("/fields")).response();
    CHECK(has(response, "\r\nA: 1\r\na: 2\r\n"));
    CHECK(has(response, "\r\nDate: now\r\n"));
    CHECK_FALSE(has(response, "GMT"));
    CHECK(has(response, "\r\nContent-Type: application/json\r\n"));
    CHECK(has(response, "\r\nContent-Length: 2\r\n"));
    CHECK_FALSE(has(response, "999"));
}

TEST_CASE("a handler that leaves the body unread") {
    TestServer server;
    SUBCASE("a small rest is read over") {
        PlainClient client(server);
        client.send(post("/ignore", std::string(200'000, 'b')) + get("/next"));
        CHECK(body_of(client.response()) == "hello /ignore\n");
        CHECK(body_of(client.response()) == "hello /next\n");
        client.send("POST /first HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        CHECK(body_of(client.response()) == "a");
        CHECK(body_of(client.send("2\r\nde\r\n0\r\n\r\n" + get("/next")).response()) == "hello /next\n");
    }
    SUBCASE("a large rest costs the connection, but not the answer") {
        PlainClient client(server);
        const std::string body(300'000, 'b');
        const std::string head = post("/ignore", body);
        client.send(head.substr(0, head.size() - body.size() + 10));
        const std::string response = client.response();
        CHECK(closes(response));
        CHECK(body_of(response) == "hello /ignore\n");
        client.send_end();
        CHECK(client.rest().empty());
    }
    SUBCASE("a large rest in chunks costs the connection") {
        PlainClient client(server);
        client.send("POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        CHECK(body_of(client.response()) == "hello /ignore\n");
        for (int i = 0; i != 30; ++i) client.send("4000\r\n" + std::string(0x4000, 'c') + "\r\n");
        client.send(get("/next"));
        client.send_end();
        CHECK_FALSE(has(client.rest(), "hello /next"));
    }
}

TEST_CASE("bodies over the limit are refused") {
    http::ServerOptions options;
    options.limits.body = 1000;
    TestServer server(options);
    SUBCASE("by their declared length, without asking the handler") {
        PlainClient client(server);
        const std::string response = client.send(post("/echo", std::string(1001, 'b'))).response();
        CHECK(status_of(response) == "HTTP/1.1 413 Content Too Large");
        CHECK(closes(response));
        CHECK(server.app.calls == 0);
        client.send_end();
        CHECK(client.rest().empty());
    }
    SUBCASE("by what their chunks add up to") {
        PlainClient client(server);
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send("200\r\n" + std::string(0x200, 'c') + "\r\n200\r\n" + std::string(0x200, 'c') + "\r\n");
        const std::string response = client.response();
        CHECK(status_of(response) == "HTTP/1.1 413 Content Too Large");
        CHECK(closes(response));
    }
}

TEST_CASE("what the server itself answers obeys the same rules as a handler's responses") {
    http::ServerOptions options;
    options.limits.body = 1000;
    TestServer server(options);
    struct Case {
        const char* request;
        const char* status;
        bool head_only = false;
    };
    const Case cases[] = {
        {"HEAD /z HTTP/1.1\r\n\r\n", "400 Bad Request", true},
        {"HEAD /z HTTP/1.0\r\nHost: a b\r\n\r\n", "400 Bad Request", true},
        {"HEAD /z HTTP/1.1\r\nHost: h\r\nExpect: cake\r\n\r\n", "417 Expectation Failed", true},
        {"HEAD /z HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", "413 Content Too Large", true},
        {"HEAD /z HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n", "501 Not Implemented", true},
        {"HEAD /z\r\n", "400 Bad Request"}, // whose method nobody knows
        {"GET /z HTTP/1.1\r\n\r\n", "400 Bad Request"},
        {"GET /z HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"},
        {"GET /z HTTP/3.0\r\n", "505 HTTP Version Not Supported"},
    };
    for (const Case& refused : cases) {
        CAPTURE(std::string(refused.request));
        PlainClient client(server);
        // The request before it is no example for it.
        CHECK(status_of(client.send("HEAD /z HTTP/1.1\r\nHost: h\r\n\r\n").response(false)) == "HTTP/1.1 200 OK");
        const std::string response = client.send(refused.request).response(!refused.head_only);
        CHECK(status_of(response) == "HTTP/1.1 " + std::string(refused.status));
        CHECK(closes(response));
        CHECK(has(response, "\r\nDate: "));
        CHECK(has(response, "\r\nContent-Length: "));
        client.send_end();
        CHECK(client.rest().empty());
    }
}

TEST_CASE("a client that sends on beside its last answer sees it whole, and no reset") {
    TestServer server;
    const std::string post = "POST /z HTTP/1.1\r\nHost: h\r\n";
    struct Case {
        std::string head;
        std::size_t piece, pieces;
        const char* status;
    };
    const Case cases[] = {
        {post + "Connection: close\r\nContent-Length: 100000\r\n\r\n", 8'192, 12, "200 OK"},
        {post + "Connection: close\r\nContent-Length: 100000\r\n\r\n", 1, 500, "200 OK"},
        {post + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n80000\r\n", 8'192, 60, "200 OK"},
        {post + "Content-Length: 900000\r\n\r\n", 16'384, 54, "200 OK"}, // more than is read for the next request
        {post + "Content-Length: 50000000\r\n\r\n", 65'536, 762, "413 Content Too Large"},
        {post + "Content-Length: 50000000\r\n\r\n", 1, 500, "413 Content Too Large"},
        {post + "Transfer-Encoding: chunked\r\n\r\n200000\r\n", 8'192, 200, "200 OK"},
        {post + "Expect: cake\r\nContent-Length: 500000\r\n\r\n", 8'192, 61, "417 Expectation Failed"},
        {"rubbish\r\n", 1, 500, "400 Bad Request"},
        {"rubbish\r\n", 65'536, 64, "400 Bad Request"},
        {get("/z", "Connection: close\r\n"), 1, 500, "200 OK"},
        {get("/z", "Connection: close\r\n"), 65'536, 64, "200 OK"},
        {get("/close"), 1, 500, "200 OK"},
        {"GET /z HTTP/1.0\r\n\r\n", 1, 500, "200 OK"},
    };
    for (const Case& sender : cases) {
        CAPTURE(sender.head);
        CAPTURE(sender.piece);
        PlainClient client(server);
        bool all_taken = client.sends(sender.head);
        const std::string piece(sender.piece, 'x');
        for (std::size_t i = 0; all_taken && i != sender.pieces; ++i) all_taken = client.sends(piece);
        CHECK(all_taken);
        CHECK(status_of(client.response()) == "HTTP/1.1 " + std::string(sender.status));
        client.send_end();
        CHECK(client.rest().empty());
    }
}

TEST_CASE("a client that sends a little now and then is read for a while, and no longer") {
    http::ServerOptions options;
    options.linger_timeout = 60s;
    options.linger_time = 100ms;
    TestServer server(options);
    PlainClient client(server);
    CHECK(closes(client.send("rubbish\r\n").response()));
    CHECK(test::eventually([&client] { return !client.sends("x"); }));
}

TEST_CASE("a client that goes on sending after a refusal is read up to a limit") {
    http::ServerOptions options;
    options.linger_timeout = options.linger_time = 60s;
    options.linger_bytes = 10'000;
    TestServer server(options);
    PlainClient client(server);
    const std::string refusal = client.send("rubbish\r\n").response();
    CHECK(status_of(refusal) == "HTTP/1.1 400 Bad Request");
    client.send(std::string(9'000, 'r')); // is read
    client.send(std::string(2'000, 'r')); // is the end
    server.stop();
    CHECK(server.finished());
}

TEST_CASE("the stream ends inside a body") {
    TestServer server;
    PlainClient client(server);
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    client.send_end();
    const std::string response = client.rest();
    CHECK(status_of(response) == "HTTP/1.1 400 Bad Request");
    CHECK(closes(response));
    CHECK(server.app.calls == 1);
}

TEST_CASE("a half-closed client gets its answers") {
    TestServer server;
    PlainClient client(server);
    client.send(get("/1") + get("/2"));
    client.send_end();
    const std::string all = client.rest();
    CHECK(has(all, "hello /1"));
    CHECK(all.ends_with("hello /2\n"));
}

TEST_CASE("100-continue is sent when the handler begins to read") {
    TestServer server;
    const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    SUBCASE("and then the body comes") {
        PlainClient client(server);
        CHECK(client.send(head).response() == "HTTP/1.1 100 Continue\r\n\r\n");
        CHECK(body_of(client.send("abc").response()) == "abc");
        CHECK(body_of(client.send(get("/x")).response()) == "hello /x\n");
    }
    SUBCASE("not when the body is there already") {
        PlainClient client(server);
        CHECK(status_of(client.send(head + "abc").response()) == "HTTP/1.1 200 OK");
    }
    SUBCASE("not when the handler does not read") {
        PlainClient client(server);
        client.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        const std::string response = client.response();
        CHECK(status_of(response) == "HTTP/1.1 200 OK");
        CHECK(closes(response));
    }
    SUBCASE("not to HTTP/1.0") {
        PlainClient client(server);
        client.send("POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        CHECK(status_of(client.send("abc").rest()) == "HTTP/1.1 200 OK");
    }
    SUBCASE("not within the answer, although its body is written before the request's is read") {
        PlainClient client(server);
        client.send("POST /echo-late HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        const std::string begin = client.response(false);
        CHECK(status_of(begin) == "HTTP/1.1 200 OK");
        const std::string all = begin + client.send("abc").rest();
        CHECK_FALSE(has(all, "100 Continue"));
        CHECK(has(all, "abc"));
    }
    SUBCASE("another expectation is refused") {
        PlainClient client(server);
        CHECK(status_of(client.send(get("/x", "Expect: cake\r\n")).response()) == "HTTP/1.1 417 Expectation Failed");
    }
}

TEST_CASE("timeouts") {
    TestServer server(quick());
    SUBCASE("an idle connection is closed without a word") {
        PlainClient client(server);
        CHECK(body_of(client.send(get("/x")).response()) == "hello /x\n");
        CHECK(client.rest().empty());
    }
    SUBCASE("so is one that never sends anything") {
        PlainClient client(server);
        CHECK(client.rest().empty());
    }
    SUBCASE("a slow head is answered with 408, however often a byte comes") {
        PlainClient client(server);
        std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
        client.send(bytes);
        for (int i = 0; i != 60; ++i) {
            std::this_thread::sleep_for(5ms);
            client.send("x");
        }
        const std::string response = client.response();
        CHECK(status_of(response) == "HTTP/1.1 408 Request Timeout");
        CHECK(closes(response));
    }
    SUBCASE("so is a slow request line, also when it is not the first") {
        PlainClient client(server);
        CHECK(body_of(client.send(get("/x")).response()) == "hello /x\n");
        CHECK(status_of(client.send("GET").response()) == "HTTP/1.1 408 Request Timeout");
    }
    SUBCASE("a slow body is answered with 408") {
        PlainClient client(server);
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
        const std::string response = client.response();
        CHECK(status_of(response) == "HTTP/1.1 408 Request Timeout");
        CHECK(closes(response));
    }
    SUBCASE("a slow handler is not interrupted") {
        PlainClient client(server);
        client.send(get("/wait"));
        REQUIRE(server.waits(1));
        PlainClient idle(server); // lives through every timeout meanwhile
        CHECK(body_of(idle.send(get("/x")).response()) == "hello /x\n");
        CHECK(idle.rest().empty());
        server.open_gate();
        CHECK(body_of(client.response()) == "waited");
    }
}

TEST_CASE("a body that comes too slowly on the whole is answered with 408") {
    http::ServerOptions options = short_linger();
    options.body_timeout = 300ms;
    options.body_rate = 100'000;
    TestServer server(options);
    PlainClient client(server);
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i != 100; ++i) {
        std::this_thread::sleep_for(5ms); // each piece is in time
        client.send("x");
    }
    CHECK(status_of(client.response()) == "HTTP/1.1 408 Request Timeout");
    PlainClient fast(server);
    CHECK(body_of(fast.send(post("/echo", std::string(500'000, 'f'))).response()).size() == 500'000);
}

TEST_CASE("a connection that waits, since somebody else holds it too and wants it so, holds nobody up") {
    TestServer server;
    PlainClient greedy(server);
    CHECK(body_of(greedy.send(get("/x")).response()) == "hello /x\n");
    test::make_connections_block(server.port);
    std::string many; // more than the kernel takes
    for (int i = 0; i != 8; ++i) many += get("/large");
    greedy.send(many + get("/stream-13") + post("/echo", std::string(500'000, 'f')));
    PlainClient other(server);
    REQUIRE(test::is_answered_beside(greedy, other));
    for (int i = 0; i != 8; ++i) CHECK(body_of(greedy.response()).size() == 3'000'000);
    CHECK(body_of(greedy.response()).size() == 13);
    CHECK(body_of(greedy.response()).size() == 500'000);
}

TEST_CASE("a client that takes nothing is cut off") {
    http::ServerOptions options;
    options.write_timeout = 60ms;
    TestServer server(options);
    PlainClient client(server);
    std::string many;
    for (int i = 0; i != 10; ++i) many += get("/large");
    client.send(many);
    server.stop();
    CHECK(server.finished());
}

TEST_CASE("an idle connection of which only the socket is left") {
    http::ServerOptions options;
    options.park_after = 30ms;
    SUBCASE("is served again") {
        TestServer server(options);
        PlainClient client(server);
        for (int i = 0; i != 3; ++i) {
            CHECK(body_of(client.send(get("/1") + get("/2")).response()) == "hello /1\n");
            CHECK(body_of(client.response()) == "hello /2\n");
            be_idle();
        }
        for (const char c : get("/slow")) client.send({&c, 1});
        CHECK(body_of(client.response()) == "hello /slow\n");
    }
    SUBCASE("is closed in its time") {
        options.idle_timeout = 100ms;
        TestServer server(options);
        PlainClient client(server);
        CHECK(body_of(client.send(get("/1")).response()) == "hello /1\n");
        CHECK(client.rest().empty());
    }
    SUBCASE("ends with its client") {
        TestServer server(options);
        {
            PlainClient client(server);
            CHECK(body_of(client.send(get("/1")).response()) == "hello /1\n");
            be_idle();
        }
        server.stop();
        CHECK(server.finished());
    }
    SUBCASE("ends with its server") {
        TestServer server(options);
        PlainClient client(server);
        CHECK(body_of(client.send(get("/1")).response()) == "hello /1\n");
        be_idle();
        SUBCASE("that stops") { server.stop(); }
        SUBCASE("that is cancelled") { server.cancel(); }
        CHECK(server.finished());
        CHECK(client.rest().empty());
    }
    SUBCASE("makes room for another") {
        options.max_connections = 1;
        TestServer server(options);
        PlainClient client(server);
        CHECK(body_of(client.send(get("/1")).response()) == "hello /1\n");
        be_idle();
        PlainClient other(server);
        CHECK(body_of(other.send(get("/2")).response()) == "hello /2\n");
        CHECK(client.rest().empty());
    }
}

TEST_CASE("drain: a connection goes to another server between two requests") {
    http::ServerOptions options;
    options.park_after = 30ms;
    TestServer server(options, serve_until_successor);
    PlainClient client(server);
    CHECK(body_of(client.send(get("/1")).response()) == "hello /1\n");
    SUBCASE("when only its socket is left") {
        be_idle();
        server.stop();
    }
    SUBCASE("but not inside one, of which a part was read") {
        client.send("GET /2");
        be_idle();
        server.stop();
        CHECK(body_of(client.send(" HTTP/1.1\r\nHost: h\r\n\r\n").response()) == "hello /2\n");
    }
    CHECK(server.finished());
    REQUIRE(server.app.handed_over.size() == 1);
    const auto& [socket, state] = server.app.handed_over.front();
    CHECK(state == std::to_string(server.app.calls));
    CHECK(::send(socket.get(), "still open", 10, MSG_NOSIGNAL) == 10);
    CHECK(client.take(10) == "still open");
}

TEST_CASE("max_requests ends a connection") {
    http::ServerOptions options;
    options.max_requests = 2;
    TestServer server(options);
    PlainClient client(server);
    CHECK_FALSE(closes(client.send(get("/1")).response()));
    client.send(get("/2") + get("/3"));
    client.send_end();
    const std::string last = client.rest();
    CHECK(closes(last));
    CHECK(last.ends_with("hello /2\n"));
}

TEST_CASE("drain: idle connections are closed, busy ones finish with Connection: close") {
    TestServer server(short_linger());
    PlainClient idle(server);
    CHECK(body_of(idle.send(get("/x")).response()) == "hello /x\n");
    PlainClient busy(server);
    busy.send(get("/wait"));
    REQUIRE(server.waits(1));
    server.stop();
    CHECK(idle.rest().empty());
    CHECK_FALSE(server.ended);
    server.open_gate();
    const std::string response = busy.rest();
    CHECK(closes(response));
    CHECK(body_of(response) == "waited");
    CHECK(server.finished());
    CHECK_FALSE(server.failed);
}

TEST_CASE("drain: what was received already is answered") {
    TestServer server(short_linger());
    PlainClient client(server);
    client.send(get("/wait") + get("/2") + get("/3"));
    REQUIRE(server.waits(1));
    server.stop();
    CHECK_FALSE(server.ended);
    server.open_gate();
    const std::string all = client.rest();
    CHECK(has(all, "waited"));
    CHECK(has(all, "hello /2"));
    CHECK(all.ends_with("hello /3\n"));
    CHECK(all.find("Connection: close") > all.find("hello /2"));
}

TEST_CASE("drain: a connection that has just come is heard") {
    http::ServerOptions options = short_linger();
    options.fresh_timeout = 5s;
    TestServer server(options);
    PlainClient marker(server);
    PlainClient fresh(server);
    CHECK(body_of(marker.send(get("/x")).response()) == "hello /x\n");
    // A second request on a third connection: accepted after `fresh`, so `fresh` is in the server by then.
    PlainClient later(server);
    CHECK(body_of(later.send(get("/y")).response()) == "hello /y\n");
    server.stop();
    CHECK(marker.rest().empty());
    const std::string response = fresh.send(get("/z")).rest();
    CHECK(closes(response));
    CHECK(body_of(response) == "hello /z\n");
}

TEST_CASE("when accepting fails the connections finish first") {
    TestServer server(short_linger());
    PlainClient busy(server);
    busy.send(get("/wait"));
    REQUIRE(server.waits(1));
    server.fail();
    std::this_thread::sleep_for(20ms); // time for a wrong server to drop it
    CHECK_FALSE(server.ended);
    server.open_gate();
    CHECK(body_of(busy.rest()) == "waited");
    CHECK(server.finished());
    CHECK(server.failed);
}

TEST_CASE("cancelling serve ends connections and handlers") {
    TestServer server;
    PlainClient idle(server);
    CHECK(body_of(idle.send(get("/x")).response()) == "hello /x\n");
    PlainClient busy(server);
    busy.send(get("/wait"));
    REQUIRE(server.waits(1));
    SUBCASE("while it accepts") {}
    SUBCASE("while it drains") {
        server.stop();
        CHECK(idle.rest().empty());
    }
    server.cancel();
    CHECK(server.finished());
    CHECK(busy.rest().empty());
    CHECK(idle.rest().empty());
}

TEST_CASE("cancelling serve ends what it waits for after accepting has failed") {
    TestServer server;
    PlainClient idle(server);
    CHECK(body_of(idle.send(get("/x")).response()) == "hello /x\n");
    PlainClient busy(server);
    busy.send(get("/wait"));
    REQUIRE(server.waits(1));
    server.fail();
    CHECK(idle.rest().empty());
    server.cancel();
    CHECK(server.finished());
    CHECK(server.failed);
    CHECK(busy.rest().empty());
}

TEST_CASE("past max_connections a connection waits for room") {
    http::ServerOptions options = short_linger();
    options.max_connections = 1;
    TestServer server(options);
    SUBCASE("which none needs as long as nobody waits") {
        PlainClient only(server);
        for (int i = 0; i != 3; ++i) CHECK_FALSE(closes(only.send(get("/1")).response()));
    }
    SUBCASE("which an idle one makes") {
        PlainClient first(server);
        CHECK(body_of(first.send(get("/1")).response()) == "hello /1\n");
        PlainClient second(server);
        CHECK(body_of(second.send(get("/2")).response()) == "hello /2\n");
        CHECK(first.rest().empty());
    }
    SUBCASE("which a busy one makes after its answer") {
        PlainClient first(server);
        first.send(get("/wait"));
        REQUIRE(server.waits(1));
        PlainClient second(server);
        second.send(get("/2"));
        server.open_gate();
        CHECK(closes(first.rest()));
        CHECK(body_of(second.response()) == "hello /2\n");
    }
}

TEST_CASE("past max_connections nobody is waited for long who has said nothing") {
    http::ServerOptions options;
    options.max_connections = 3;
    TestServer server(options);
    std::vector<std::unique_ptr<PlainClient>> silent;
    for (int i = 0; i != 9; ++i) silent.push_back(std::make_unique<PlainClient>(server));
    PlainClient client(server);
    CHECK(status_of(client.send(get("/z")).response()) == "HTTP/1.1 200 OK"); // long before the head's time is over
}

TEST_CASE("past max_connections nobody is waited for long who has begun to say something and does not go on") {
    http::ServerOptions options;
    options.max_connections = 3;
    options.head_timeout = 60s;
    options.fresh_timeout = 50ms;
    TestServer server(options);
    for (const std::string beginning : {"G", "\r\n", "GET / HTTP/1.1\r\nHost: h\r\n", "POST /"}) {
        CAPTURE(beginning);
        std::vector<std::unique_ptr<PlainClient>> slow;
        for (int i = 0; i != 9; ++i) {
            slow.push_back(std::make_unique<PlainClient>(server));
            slow.back()->send(beginning);
        }
        PlainClient client(server);
        CHECK(status_of(client.send(get("/z")).response()) == "HTTP/1.1 200 OK");
    }
}

TEST_CASE("drain: what does not end by itself is told so also while others wait for room") {
    http::ServerOptions options = short_linger();
    options.max_connections = 1;
    TestServer server(options);
    PlainClient first(server);
    CHECK(status_of(first.send(get("/stream-until-told")).response(false)) == "HTTP/1.1 200 OK");
    PlainClient second(server);
    second.send(get("/2"));
    CHECK(server.has(2));
    server.stop();
    CHECK(first.rest().ends_with("0\r\n\r\n"));
    CHECK(has(second.rest(), "hello /2\n"));
    CHECK(server.finished());
}

TEST_CASE("past max_connections a connection is refused when so configured") {
    http::ServerOptions options;
    options.max_connections = 1;
    options.overload = http::Overload::refuse;
    TestServer server(options);
    PlainClient first(server);
    CHECK(body_of(first.send(get("/1")).response()) == "hello /1\n");
    PlainClient second(server);
    const std::string response = second.response();
    CHECK(status_of(response) == "HTTP/1.1 503 Service Unavailable");
    CHECK(closes(response));
    CHECK(body_of(first.send(get("/1")).response()) == "hello /1\n");
}

TEST_CASE("a connection that was refused takes nobody's place") {
    http::ServerOptions options;
    options.max_connections = 1;
    options.overload = http::Overload::refuse;
    options.linger_timeout = 60s;
    TestServer server(options);
    std::optional<PlainClient> first(server);
    CHECK(body_of(first->send(get("/1")).response()) == "hello /1\n");
    PlainClient refused(server);
    CHECK(status_of(refused.response()) == "HTTP/1.1 503 Service Unavailable");
    first.reset();
    CHECK(server.has(1)); // the one that was refused, whose client has not closed
    PlainClient next(server);
    CHECK(body_of(next.send(get("/3")).response()) == "hello /3\n");
    refused.send_end();
}

TEST_CASE("no time is too long") {
    http::ServerOptions options;
    options.head_timeout = options.body_timeout = options.write_timeout = options.idle_timeout =
        options.linger_timeout = options.fresh_timeout = options.handler_timeout = options.park_after =
            http::ServerOptions::Duration::max();
    TestServer server(options);
    PlainClient client(server);
    CHECK(body_of(client.send(post("/echo", "abc")).response()) == "abc");
    CHECK(body_of(client.send(get("/x")).response()) == "hello /x\n");
}

TEST_CASE("a connection that has had more requests elsewhere than it may have here ends with the next") {
    http::ServerOptions options;
    options.max_requests = 2;
    TestServer server(options);
    server.hand_in("5");
    PlainClient client(server);
    CHECK(closes(client.send(get("/1")).response()));
}

TEST_CASE("a handler needs no context, and a router is one") {
    asio::io_context io(1);
    TcpAcceptor acceptor(io);
    http::Router<> router;
    router.get("/echo/:word", [](const http::Request& request) -> Task<http::Response> {
        co_return http::text(request.param("word").value_or("none"));
    });
    bool ended = false;
    spawn(io, http::serve(acceptor, router), [&ended](const std::exception_ptr&) { ended = true; });
    std::thread thread([&io] { io.run(); });
    {
        asio::io_context client_io;
        tcp::socket client(client_io);
        client.connect({asio::ip::address_v4::loopback(), acceptor.port()});
        const std::string request = get("/echo/hi%21", "Connection: close\r\n");
        ::send(client.native_handle(), request.data(), request.size(), MSG_NOSIGNAL);
        const timeval deadline{5, 0};
        ::setsockopt(client.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
        std::string all;
        char bytes[4096];
        for (ssize_t n = 0; (n = ::recv(client.native_handle(), bytes, sizeof bytes, 0)) > 0;)
            all.append(bytes, static_cast<std::size_t>(n));
        CHECK(body_of(all) == "hi!");
    }
    asio::post(io, [&acceptor] { acceptor.close(); });
    thread.join();
    CHECK(ended);
}

TEST_CASE("a client that takes everything at once does not keep the others waiting") {
    TestServer server;
    PlainClient client(server);
    const std::string all = client.send(get("/stream-by-turns", "Connection: close\r\n")).rest();
    CHECK(all.size() > 160 * 64 * 1024 + 300'000);
    CHECK(all.ends_with("y\r\n0\r\n\r\n"));
    CHECK(server.app.most_at_once >= 64 * 1024);
    CHECK(server.app.most_at_once <= 320 * 1024);
}
