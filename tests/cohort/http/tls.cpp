// SPDX-License-Identifier: MIT
// The server behind TLS: what holds without it holds with it.
#include <cohort/http/tls.hpp>

#include "support/http_server.hpp"
#include "support/process.hpp"
#include "support/tls.hpp"

#include <cohort/http/serve.hpp>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <openssl/err.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

using namespace cohort;
using namespace test;
using namespace std::chrono_literals;

namespace {

struct TlsApp {
    explicit TlsApp(asio::io_context& io) : gate(io, asio::steady_timer::time_point::max()) {}
    void release() { gate.cancel(); }

    Certificate certificate;
    asio::ssl::context context = http::tls_context(certificate.chain(), certificate.key());
    asio::steady_timer gate;
    std::atomic<bool> waiting = false;
    std::atomic<bool> out_of_layers = false;
};

/// Has no memory for TLS when it is told so.
struct ShortOfMemory : http::TlsAcceptor<TcpAcceptor> {
    ShortOfMemory(TcpAcceptor& acceptor, TlsApp& app) : TlsAcceptor(acceptor, app.context), app_(&app) {}

    std::unique_ptr<http::detail::StreamLayer> make_layer(Socket& socket) const {
        if (app_->out_of_layers) throw std::system_error(ENOMEM, std::system_category(), "SSL_new");
        return TlsAcceptor::make_layer(socket);
    }

private:
    TlsApp* app_;
};

Task<> echo_tls(http::Upgraded& connection) {
    while (true) {
        const auto bytes = co_await connection.read();
        if (!bytes) break;
        co_await connection.write(*bytes);
    }
    if (connection.draining()) co_await connection.write("goodbye");
}

Task<http::Response> tls_route(TlsApp& app, const http::Request& request) {
    const std::string_view path = request.path();
    if (path == "/large") co_return http::text(std::string(3'000'000, 'y'));
    if (path == "/echo") co_return http::upgrade("echo", echo_tls);
    if (path == "/body") co_return http::text(co_await request.body().text());
    if (path == "/wait") {
        std::error_code ignored;
        app.waiting = true;
        co_await app.gate.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return http::text("from " + std::string{request.client_address()});
}

Task<> serve_tls_app(TlsApp& app, TcpAcceptor& acceptor, http::ServerOptions options) {
    ShortOfMemory secure(acceptor, app);
    co_await http::serve(app, secure, tls_route, std::move(options));
}

struct TlsServer : HttpServer<TlsApp> {
    explicit TlsServer(http::ServerOptions options = {}) : HttpServer(serve_tls_app, std::move(options)) {}
};

http::ServerOptions quick_tls() {
    http::ServerOptions options;
    options.head_timeout = options.idle_timeout = options.linger_timeout = 300ms; // in it a handshake is done
    return options;
}

} // namespace

TEST_CASE("requests are answered over TLS, on one connection, pipelined, in pieces") {
    TlsServer server;
    TlsClient client(server.port, "", "\x02h2\x08http/1.1");
    REQUIRE(client.is_secure());
    CHECK(client.protocol() == "http/1.1");
    CHECK(body_of(client.send(get("/")).response()) == "from 127.0.0.1");
    client.send(get("/1") + get("/2"));
    CHECK(body_of(client.response()) == "from 127.0.0.1");
    CHECK(body_of(client.response()) == "from 127.0.0.1");
    for (const char& c : get("/")) client.send({&c, 1});
    CHECK(status_of(client.response()) == "HTTP/1.1 200 OK");
    CHECK(body_of(client.send(post("/body", std::string(900'000, 'x'))).response()).size() == 900'000);
    CHECK(body_of(client.send(get("/large")).response()).size() == 3'000'000);
}

TEST_CASE(
    "a connection that waits, since somebody else holds it too and wants it so, holds nobody up below TLS either") {
    TlsServer server;
    TlsClient greedy(server.port);
    CHECK(status_of(greedy.send(get("/")).response()) == "HTTP/1.1 200 OK");
    test::make_connections_block(server.port);
    std::string many; // more than the kernel takes
    for (int i = 0; i != 8; ++i) many += get("/large");
    greedy.send(many + post("/body", std::string(500'000, 'x')));
    TlsClient other(server.port);
    REQUIRE(test::is_answered_beside(greedy, other));
    for (int i = 0; i != 8; ++i) CHECK(body_of(greedy.response()).size() == 3'000'000);
    CHECK(body_of(greedy.response()).size() == 500'000);
}

TEST_CASE("an answer over TLS is not held back by a later handler that waits") {
    TlsServer server;
    TlsClient client(server.port);
    client.send(get("/") + get("/wait"));
    CHECK(status_of(client.response()) == "HTTP/1.1 200 OK");
    REQUIRE(eventually([&] { return server.app.waiting.load(); }));
    server.post([&] { server.app.release(); });
    CHECK(status_of(client.response()) == "HTTP/1.1 200 OK");
}

TEST_CASE("who is refused over TLS sees why, and that nothing more comes") {
    TlsServer server;
    TlsClient client(server.port);
    const std::string response = client.send("GET / HTTP/1.1\r\n\r\n").response();
    CHECK(status_of(response) == "HTTP/1.1 400 Bad Request");
    CHECK(client.take(1).empty());
    CHECK(client.was_told());
}

TEST_CASE("an old version, another protocol and plain text are no handshake") {
    TlsServer server;
    CHECK_FALSE(TlsClient(server.port, "", "", TLS1_1_VERSION).is_secure());
    CHECK_FALSE(TlsClient(server.port, "", "\x02h2").is_secure());
    RawClient plain(server.port);
    CHECK(plain.send(get("/")).rest().find("HTTP") == std::string::npos);
    CHECK(TlsClient(server.port).is_secure());
}

TEST_CASE("a handshake that does not come is not waited for, nor is an idle client") {
    TlsServer server(quick_tls());
    RawClient silent(server.port);
    CHECK(silent.rest().empty());
    TlsClient idle(server.port);
    CHECK(status_of(idle.send(get("/")).response()) == "HTTP/1.1 200 OK");
    CHECK(idle.take(1).empty());
    CHECK(idle.was_told());
}

TEST_CASE("an idle connection that was parked is still served over TLS") {
    http::ServerOptions options;
    options.park_after = 20ms;
    TlsServer server(options);
    TlsClient client(server.port);
    CHECK(status_of(client.send(get("/")).response()) == "HTTP/1.1 200 OK");
    be_idle();
    CHECK(status_of(client.send(get("/")).response()) == "HTTP/1.1 200 OK");
}

TEST_CASE("drain over TLS: idle connections end, busy ones are answered first") {
    TlsServer server(quick_tls());
    TlsClient idle(server.port), busy(server.port);
    CHECK(status_of(idle.send(get("/")).response()) == "HTTP/1.1 200 OK");
    busy.send(get("/wait"));
    REQUIRE(eventually([&] { return server.app.waiting.load(); }));
    server.stop();
    CHECK(idle.take(1).empty());
    CHECK(idle.was_told());
    server.post([&] { server.app.release(); });
    const std::string response = busy.response();
    CHECK(status_of(response) == "HTTP/1.1 200 OK");
    CHECK(closes(response));
    busy.say_goodbye();
    CHECK(server.finished());
}

TEST_CASE("drain over TLS: who has not begun to shake hands, or does not answer the goodbye, is not waited for") {
    TlsServer server; // ten seconds for a head, five for what follows the last answer
    RawClient silent(server.port);
    TlsClient speechless(server.port), idle(server.port);
    CHECK(status_of(idle.send(get("/")).response()) == "HTTP/1.1 200 OK");
    REQUIRE(server.has(3));
    const auto begun = std::chrono::steady_clock::now();
    server.stop();
    CHECK(server.finished());
    CHECK(std::chrono::steady_clock::now() - begun < 4s);
    CHECK(silent.rest().empty());
    CHECK(idle.take(1).empty());
    CHECK(idle.was_told());
}

TEST_CASE("an upgraded connection is encrypted too, and told of the drain") {
    TlsServer server;
    TlsClient client(server.port);
    client.send(get("/echo", "Connection: upgrade\r\nUpgrade: echo\r\n"));
    CHECK(status_of(client.response()) == "HTTP/1.1 101 Switching Protocols");
    CHECK(client.send("hello").take(5) == "hello");
    server.stop();
    CHECK(client.take(7) == "goodbye");
    client.say_goodbye();
    CHECK(server.finished());
}

TEST_CASE("a PROXY header comes before TLS") {
    TlsServer server({.proxy_protocol = true});
    TlsClient client(server.port, "PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n");
    REQUIRE(client.is_secure());
    CHECK(body_of(client.send(get("/")).response()) == "from 192.0.2.7");
}

TEST_CASE("cancelling serve ends connections over TLS, whatever they do") {
    TlsServer server;
    TlsClient idle(server.port), busy(server.port);
    CHECK(status_of(idle.send(get("/")).response()) == "HTTP/1.1 200 OK");
    RawClient silent(server.port);
    busy.send(get("/wait"));
    REQUIRE(eventually([&] { return server.app.waiting.load(); }));
    server.cancel();
    CHECK(server.finished());
}

TEST_CASE("cancelling serve does not wait for the goodbye of a client that sleeps over TLS") {
    http::ServerOptions options;
    options.park_after = 20ms;
    options.linger_timeout = 60s;
    TlsServer server(options);
    TlsClient client(server.port);
    CHECK(status_of(client.send(get("/")).response()) == "HTTP/1.1 200 OK");
    be_idle();
    server.cancel();
    CHECK(server.finished());
}

TEST_CASE("a connection for which there is no TLS is lost alone") {
    TlsServer server;
    TlsClient before(server.port);
    CHECK(status_of(before.send(get("/")).response()) == "HTTP/1.1 200 OK");
    server.app.out_of_layers = true;
    CHECK_FALSE(TlsClient(server.port).is_secure());
    server.app.out_of_layers = false;
    CHECK(status_of(before.send(get("/")).response()) == "HTTP/1.1 200 OK");
    TlsClient after(server.port);
    CHECK(status_of(after.send(get("/")).response()) == "HTTP/1.1 200 OK");
    CHECK(has(server.log(), "SSL_new"));
}

TEST_CASE("sessions are resumed, also where clients are asked for a certificate") {
    for (const int newest : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const bool asks : {false, true}) {
            CAPTURE(newest);
            CAPTURE(asks);
            TlsServer server;
            if (asks) server.app.context.set_verify_mode(asio::ssl::verify_peer);
            TlsClient first(server.port, "", "", newest);
            REQUIRE(first.is_secure());
            CHECK(status_of(first.send(get("/")).response()) == "HTTP/1.1 200 OK");
            const auto session = first.session();
            first.say_goodbye();
            TlsClient second(server.port, "", "", newest, session.get());
            CHECK(second.is_secure());
            CHECK(second.is_resumed());
            CHECK(status_of(second.send(get("/")).response()) == "HTTP/1.1 200 OK");
        }
    }
}

TEST_CASE("a client that has to show a certificate and has none is told so, also while it sends its request") {
    TlsServer server;
    server.app.context.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
    for (const std::size_t size : {0U, 10'000U, 900'000U}) {
        CAPTURE(size);
        for (int round = 0; round != 5; ++round) {
            ::ERR_clear_error();
            TlsClient client(server.port); // with TLS 1.3 its handshake has succeeded before it is refused
            REQUIRE(client.is_secure());
            client.send(post("/body", std::string(size, 'x')));
            CHECK(client.take(1).empty());
            CHECK(client.reason() == "tlsv13 alert certificate required");
        }
    }
}

TEST_CASE("a certificate that cannot be used is an error at once") {
    const Certificate one, other;
    CHECK_THROWS_AS(http::tls_context("/nowhere.pem", one.key()), std::system_error);
    CHECK_THROWS_AS(http::tls_context(one.chain(), other.key()), std::system_error);
}
