// SPDX-License-Identifier: MIT
// Connections that leave HTTP, and what comes before it: PROXY headers. Deadlines of handlers too.
#include <cohort/http/upgraded.hpp>

#include "support/allocations.hpp"
#include "support/child.hpp"
#include "support/http_server.hpp"
#include "support/spawn.hpp"

#include <cohort/http/detail/serve/peer.hpp>
#include <cohort/http/serve.hpp>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace cohort;
using namespace test;
using namespace std::chrono_literals;

namespace {

struct UpgradedApp {
    explicit UpgradedApp(asio::io_context& loop) : io(loop) {}
    void release() {}

    asio::io_context& io;
    std::atomic<bool> was_draining = false;
    std::atomic<bool> cancelled = false;
};

/// Says back what it gets, and goodbye when it is told to stop; "end" ends it.
Task<> echo_upgraded(http::Upgraded& connection, UpgradedApp& app) {
    co_await connection.write("welcome\n");
    while (true) {
        const auto bytes = co_await connection.read();
        if (!bytes) break;
        if (*bytes == "end") co_return;
        if (*bytes == "fail") throw std::runtime_error("takeover failed");
        const std::string reply = "<" + std::string{*bytes} + ">";
        co_await connection.write(reply);
    }
    app.was_draining = connection.draining();
    if (!connection.draining()) co_return;
    co_await connection.write("goodbye ");
    const auto last = co_await connection.read();
    co_await connection.write(last.value_or("nothing"));
}

Task<> take_socket(http::Upgraded& connection) {
    std::string received;
    Socket socket = connection.release(received);
    received.insert(0, "socket:");
    co_await asio::async_write(socket, asio::buffer(received), asio::use_awaitable);
}

/// Sends more than the kernel takes while nobody reads.
Task<> flood(http::Upgraded& connection) {
    const std::string block(1'000'000, 'x');
    while (true) co_await connection.write(block);
}

constexpr std::size_t more_than_kernels_take = 16'000'000;

Task<> write_much(http::Upgraded& connection) {
    const std::string block(more_than_kernels_take, 'x');
    co_await connection.write(block);
}

/// Until "bye" or the end.
Task<> note_all(http::Upgraded& connection, UpgradedApp& app, std::string& noted) {
    while (!noted.ends_with("bye") && !noted.ends_with("..")) {
        const auto bytes = co_await connection.read();
        noted += bytes.value_or(".");
        app.was_draining = connection.draining() && !bytes;
    }
}

/// Reads while it writes, and then says what it has read.
Task<> read_and_write(http::Upgraded& connection, UpgradedApp& app) {
    std::string noted;
    co_await test::both(write_much(connection), note_all(connection, app, noted));
    co_await connection.write(noted);
}

Task<> two_pieces(http::BodyWriter& writer) {
    co_await writer.write("abc");
    co_await writer.write("def");
}

Task<> broken(http::BodyWriter& writer) {
    co_await writer.write("abc");
    throw std::runtime_error("broken");
}

Task<http::Response> wait_long(UpgradedApp& app, const http::Request& request) {
    if (request.query("more")) request.extend_deadline(400ms);
    asio::steady_timer timer(app.io, request.query("more") ? 200ms : 20s);
    std::error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (error) app.cancelled = true;
    if (error && !request.query("quiet")) throw std::system_error(error);
    co_return http::text(error ? "given up" : "done");
}

Task<http::Response> upgraded_route(UpgradedApp& app, const http::Request& request) {
    const std::string_view path = request.path();
    if (path == "/echo") co_return http::upgrade("echo", [&app](http::Upgraded& to) { return echo_upgraded(to, app); });
    if (path == "/socket") co_return http::upgrade("socket", take_socket);
    if (path == "/flood") co_return http::upgrade("flood", flood);
    if (path == "/both")
        co_return http::upgrade("both", [&app](http::Upgraded& to) { return read_and_write(to, app); });
    if (path == "/stream") co_return http::stream(two_pieces);
    if (path == "/broken") co_return http::stream(broken, 10);
    if (path == "/later") {
        co_await asio::post(app.io, asio::use_awaitable);
        co_return http::text("later, and so long that it is no small string");
    }
    if (path == "/throw") throw http::Error(404);
    if (path == "/long") co_return co_await wait_long(app, request);
    if (path == "/body") co_return http::text(co_await request.body().text());
    if (path == "/offer") co_return http::text(std::string{request.upgrade().value_or("none")});
    co_return http::text("from " + std::string{request.client_address()} + "\n");
}

Task<> serve_upgraded_app(UpgradedApp& app, TcpAcceptor& acceptor, http::ServerOptions options) {
    co_await http::serve(app, acceptor, upgraded_route, std::move(options));
}

struct UpgradedServer : HttpServer<UpgradedApp> {
    explicit UpgradedServer(http::ServerOptions options = {}) : HttpServer(serve_upgraded_app, std::move(options)) {}
};

struct UpgradedClient : RawClient {
    explicit UpgradedClient(const UpgradedServer& server) : RawClient(server.port) {}
};

std::string upgrade(std::string_view path, std::string_view protocol = "echo") {
    return get(path, "Connection: Upgrade\r\nUpgrade: " + std::string{protocol} + "\r\n");
}

/// A server of which one allocation fails while it has a little of everything to do. In a process of its own.
class Shortage {
public:
    static constexpr int none = 4;

    explicit Shortage(int failing) : server_(options()) {
        server_.post([failing] { allocations = {true, 0, failing}; });
    }

    /// 0: nobody waited in vain, and nothing is left; none: there were not so many allocations.
    int outcome() {
        if (!talks() || !sleeps() || !refuses()) return 1;
        std::promise<bool> reached;
        server_.post([&reached] {
            const Allocations counted = std::exchange(allocations, {});
            reached.set_value(counted.count >= counted.fails);
        });
        if (!reached.get_future().get()) std::_Exit(none);
        if (!server_.has(0)) return 2;
        if (status_of(UpgradedClient(server_).send(get("/")).response()) != "HTTP/1.1 200 OK") return 5;
        return 0;
    }

private:
    static http::ServerOptions options() {
        http::ServerOptions options{.handler_timeout = 4s, .access_log = [](const http::Access&) {}};
        options.park_after = options.linger_timeout = 1ms;
        return options;
    }
    static bool ended(const std::string& answers) { return !has(answers, "(timeout)"); }

    bool talks() {
        UpgradedClient client(server_);
        client.send(get("/") + get("/throw") + get("/later") + test::post("/body", "abc") + get("/stream"));
        client.send("POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        return ended(client.send(get("/", "Connection: close\r\n")).rest());
    }
    bool sleeps() {
        UpgradedClient client(server_);
        client.send(get("/")).response();
        std::this_thread::sleep_for(15ms); // most of the time it sleeps by then
        const bool upgraded = has(client.send(upgrade("/echo")).response(), " 101 ");
        return ended(client.send(upgraded ? "end" : "no request\r\n").rest());
    }
    bool refuses() { return ended(UpgradedClient(server_).send("rubbish\r\n").rest()); }

    UpgradedServer server_;
};

} // namespace

TEST_CASE("an upgraded connection speaks another protocol, from the byte behind the request") {
    UpgradedServer server;
    UpgradedClient client(server);
    const std::string head = client.send(upgrade("/echo") + "first").response();
    CHECK(status_of(head) == "HTTP/1.1 101 Switching Protocols");
    CHECK(has(head, "\r\nUpgrade: echo\r\n"));
    CHECK(has(head, "\r\nConnection: upgrade\r\n"));
    CHECK_FALSE(has(head, "Content-Length"));
    CHECK(client.take(15) == "welcome\n<first>");
    CHECK(client.send("GET / HTTP/1.1\r\n\r\n").take(20) == "<GET / HTTP/1.1\r\n\r\n>");
    client.send("end");
    CHECK(client.rest().empty());
}

TEST_CASE("a request for an upgrade may have a body, which comes first") {
    UpgradedServer server;
    UpgradedClient client(server);
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
                "bodynext");
    CHECK(status_of(client.response()) == "HTTP/1.1 101 Switching Protocols");
    CHECK(client.take(14) == "welcome\n<next>");
    UpgradedClient waiting(server);
    waiting.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
                 "Expect: 100-continue\r\n\r\n");
    CHECK(status_of(waiting.response()) == "HTTP/1.1 100 Continue");
    CHECK(status_of(waiting.send("bodynext").response()) == "HTTP/1.1 101 Switching Protocols");
    CHECK(waiting.take(14) == "welcome\n<next>");
}

TEST_CASE("nobody is upgraded who has not offered it") {
    UpgradedServer server;
    UpgradedClient client(server);
    for (const std::string& request :
         {get("/echo"), get("/echo", "Upgrade: echo\r\n"), get("/echo", "Connection: upgrade\r\n"),
          std::string{"GET /echo HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo\r\n\r\n"}}) {
        const std::string response = client.send(request).response();
        CHECK(status_of(response) == "HTTP/1.1 426 Upgrade Required");
        CHECK(has(response, "\r\nUpgrade: echo\r\n"));
    }
    for (const char* const offer : {"x", "x, ech", "echo/2", "echox", "\"echo\"", ",", ""}) {
        CAPTURE(std::string(offer));
        const std::string response = client.send(upgrade("/echo", offer)).response();
        CHECK(status_of(response) == "HTTP/1.1 426 Upgrade Required");
        CHECK(has(response, "\r\nConnection: upgrade\r\n"));
    }
    for (const char* const offer : {"ECHO", "x,echo", ", x/1 ,\techo ,", "x\r\nUpgrade: echo"}) {
        CAPTURE(std::string(offer));
        UpgradedClient another(server);
        CHECK(status_of(another.send(upgrade("/echo", offer)).response()) == "HTTP/1.1 101 Switching Protocols");
    }
    CHECK(body_of(client.send(upgrade("/offer", "a, b")).response()) == "a, b");
    CHECK(body_of(client.send(get("/offer", "Upgrade: a\r\n")).response()) == "none");
    const std::string last = client.send(get("/echo", "Connection: close\r\n")).response();
    CHECK(has(last, "\r\nConnection: upgrade, close\r\n"));
}

TEST_CASE("an upgrade that is not accepted leaves the connection as it was") {
    UpgradedServer server;
    UpgradedClient client(server);
    CHECK(status_of(client.send(upgrade("/offer")).response()) == "HTTP/1.1 200 OK");
    CHECK(status_of(client.send(get("/offer")).response()) == "HTTP/1.1 200 OK");
}

TEST_CASE("the socket itself can be taken") {
    UpgradedServer server;
    UpgradedClient client(server);
    CHECK(status_of(client.send(upgrade("/socket", "socket") + "rest").response()) ==
          "HTTP/1.1 101 Switching Protocols");
    CHECK(client.rest() == "socket:rest");
}

TEST_CASE("a takeover that fails is logged and ends its connection") {
    UpgradedServer server;
    UpgradedClient client(server);
    client.send(upgrade("/echo")).response();
    client.send("fail");
    CHECK(client.rest() == "welcome\n");
    CHECK(has(server.log(), "takeover failed"));
}

TEST_CASE("drain: an upgraded connection is told, says goodbye, and is waited for") {
    UpgradedServer server;
    UpgradedClient client(server);
    client.send(upgrade("/echo")).response();
    CHECK(client.take(8) == "welcome\n");
    server.stop();
    CHECK(client.take(8) == "goodbye ");
    CHECK(client.send("bye").rest() == "bye");
    CHECK(server.finished());
    CHECK(server.app.was_draining);
}

TEST_CASE("cancelling serve ends upgraded connections") {
    UpgradedServer server;
    UpgradedClient client(server);
    client.send(upgrade("/echo")).response();
    CHECK(client.take(8) == "welcome\n");
    server.cancel();
    CHECK(server.finished());
    CHECK(client.rest().empty());
}

TEST_CASE("an upgraded client that takes nothing is cut off") {
    UpgradedServer server({.write_timeout = 50ms});
    UpgradedClient client(server);
    client.send(upgrade("/flood", "flood"));
    CHECK(server.ends(1));
}

TEST_CASE("an upgraded connection may be silent for as long as it likes") {
    http::ServerOptions options;
    options.idle_timeout = options.head_timeout = options.body_timeout = 400ms;
    UpgradedServer server(options);
    UpgradedClient client(server);
    client.send(upgrade("/echo")).response();
    CHECK(client.take(8) == "welcome\n");
    UpgradedClient idle(server); // is closed by a timeout that the other one has lived through, too
    idle.send(get("/"));
    CHECK(status_of(idle.response()) == "HTTP/1.1 200 OK");
    CHECK(idle.rest().empty());
    CHECK(client.send("still here").take(12) == "<still here>");
}

TEST_CASE("an upgraded connection may be silent for long also after a write that had to wait") {
    UpgradedServer server({.write_timeout = 500ms}); // the client takes some within this also on a busy machine
    UpgradedClient client(server);
    client.send(upgrade("/both", "both")).response();
    CHECK(client.take(more_than_kernels_take).size() == more_than_kernels_take);
    UpgradedClient greedy(server); // is cut off after the same time
    greedy.send(upgrade("/flood", "flood"));
    CHECK(server.ends(1));
    CHECK(client.send("bye").take(3) == "bye");
}

TEST_CASE("an upgraded connection is told of the drain once, also when it is writing then") {
    UpgradedServer server;
    UpgradedClient idle(server);
    idle.send(get("/")).response();
    UpgradedClient client(server);
    client.send(upgrade("/both", "both")).response();
    server.stop();
    CHECK(idle.rest().empty());
    client.send("data");
    REQUIRE(eventually([&] { return server.app.was_draining.load(); }));
    CHECK(client.take(more_than_kernels_take).size() == more_than_kernels_take);
    CHECK(client.send("bye").take(8) == "data.bye");
}

TEST_CASE("a handler that takes too long is cancelled and answered with 503") {
    UpgradedServer server({.handler_timeout = 50ms});
    UpgradedClient client(server);
    const std::string response = client.send(get("/long")).response();
    CHECK(status_of(response) == "HTTP/1.1 503 Service Unavailable");
    CHECK(server.app.cancelled);
    CHECK(has(server.log(), "longer than it may"));
    CHECK(status_of(client.send(get("/")).response()) == "HTTP/1.1 200 OK");
    CHECK(body_of(client.send(get("/long?quiet")).response()) == "given up");
    CHECK(body_of(client.send(get("/long?more")).response()) == "done");
    client.send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
    const std::string late = client.response();
    CHECK(status_of(late) == "HTTP/1.1 503 Service Unavailable");
    CHECK(closes(late));
}

TEST_CASE("servers tell each other how many requests a connection has had, and whose it is") {
    http::detail::Peer fresh("");
    CHECK(fresh.served() == 0);
    CHECK_FALSE(fresh.introduced());
    CHECK(fresh.state(0).empty());
    CHECK(http::detail::Peer(fresh.state(12)).served() == 12);
    fresh.introduce("192.0.2.7");
    for (const std::size_t served : {std::size_t{0}, std::size_t{5}}) {
        http::detail::Peer next(fresh.state(served));
        CHECK(next.served() == served);
        CHECK(next.introduced());
        CHECK(next.state(served) == fresh.state(served));
    }
    fresh.introduce("");
    CHECK(http::detail::Peer(fresh.state(0)).introduced());
}

TEST_CASE("the client's address is told") {
    UpgradedServer server;
    UpgradedClient client(server);
    CHECK(body_of(client.send(get("/")).response()) == "from 127.0.0.1\n");
}

TEST_CASE("behind a proxy the client is who the proxy says") {
    UpgradedServer server({.proxy_protocol = true});
    const std::string header = "PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n";
    UpgradedClient client(server);
    CHECK(body_of(client.send(header + get("/")).response()) == "from 192.0.2.7\n");
    CHECK(body_of(client.send(get("/")).response()) == "from 192.0.2.7\n");
    UpgradedClient slow(server);
    for (const char& c : header) slow.send({&c, 1});
    CHECK(body_of(slow.send(get("/")).response()) == "from 192.0.2.7\n");
    UpgradedClient own(server);
    CHECK(body_of(own.send("PROXY UNKNOWN\r\n" + get("/")).response()) == "from 127.0.0.1\n");
    UpgradedClient none(server);
    CHECK(none.send(get("/")).rest().find("HTTP") == std::string::npos);
}

TEST_CASE("a proxy that does not say whose connection it is has no more time than a head") {
    UpgradedServer server({.head_timeout = 40ms, .proxy_protocol = true});
    UpgradedClient client(server);
    CHECK(client.send("PROXY TCP4 192").rest().empty());
}

TEST_CASE("every request is told to the access log once, however it ends") {
    std::vector<std::string> told;
    std::mutex mutex;
    http::ServerOptions options{.handler_timeout = 60ms, .access_log = [&](const http::Access& access) {
                                    const std::lock_guard lock(mutex);
                                    const std::string target{access.request ? access.request->target() : "-"};
                                    told.push_back(target + " " + std::to_string(access.status) + " " +
                                                   std::to_string(access.bytes) + " " + std::string{access.client});
                                }};
    {
        UpgradedServer server(std::move(options));
        UpgradedClient client(server);
        client.send(get("/a?b") + get("/nobody").replace(0, 3, "HEAD")).response();
        client.response(false);
        client.send(get("/long")).response();
        client.send(get("/stream")).response(false);
        client.send("BREW / HTTP/1.1\r\n");
        client.rest();
        UpgradedClient broken(server);
        broken.send(get("/broken"));
        broken.rest();
        UpgradedClient other(server);
        other.send(upgrade("/echo")).response();
        other.take(8);
        other.send("end");
        other.rest();
    }
    CHECK(told == std::vector<std::string>{"/a?b 200 15 127.0.0.1", "/nobody 200 0 127.0.0.1", "/long 503 20 127.0.0.1",
                                           "/stream 200 6 127.0.0.1", "- 501 16 127.0.0.1", "/broken 200 3 127.0.0.1",
                                           "/echo 101 0 127.0.0.1"});
}

#ifndef COHORT_SANITIZED
TEST_CASE("whichever allocation fails, the server answers or closes, and goes on") {
    int outcome = 0;
    int survived = 0;
    int ended = 0;
    for (int n = 1; outcome != Shortage::none && n != 1000; ++n) {
        outcome = in_child([n] { return Shortage(n).outcome(); });
        CAPTURE(n);
        if (outcome == 0)
            ++survived;
        else if (outcome == UpgradedServer::out_of_memory)
            ++ended;
        else
            CHECK(outcome == Shortage::none);
    }
    CHECK(ended * 10 <= survived);
}
#endif

TEST_CASE("a request whose handler is cancelled with the server is told as broken off") {
    std::atomic<int> status = -1;
    std::atomic<std::uint64_t> bytes = 0;
    {
        UpgradedServer server({.access_log = [&](const http::Access& access) {
            status = access.status;
            bytes = access.bytes;
        }});
        UpgradedClient client(server);
        client.send(get("/")).response();
        CHECK(status == 200);
        client.send(get("/long?more"));
        REQUIRE(server.begins(2));
        server.cancel();
        CHECK(server.finished());
    }
    CHECK(status == 499);
    CHECK(bytes == 0);
}
