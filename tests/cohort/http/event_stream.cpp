// SPDX-License-Identifier: MIT
// Server-sent events in wire form, and as long as the server wants to serve them.
#include <cohort/http/event_stream.hpp>

#include "support/handling.hpp"
#include "support/http_server.hpp"
#include "support/run_for.hpp"

#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

using namespace cohort;
using namespace std::chrono_literals;

namespace {

/// What is sent after the head.
template <class P>
std::string sent(P producer) {
    const auto handler = [&producer](const http::Request&) { return test::respond(http::events(producer)); };
    const std::string all = test::ask(handler, "GET", "/").body;
    REQUIRE(all.starts_with(": \n\n"));
    return all.substr(4);
}

Task<> send_one(http::EventStream& stream, http::StreamEvent event) { co_await stream.send(event); }

std::string wire_form(const http::StreamEvent& event) {
    return sent([event](http::EventStream& stream) { return send_one(stream, event); });
}

} // namespace

TEST_CASE("events in wire form") {
    CHECK(wire_form({}) == "data: \n\n");
    CHECK(wire_form({.data = "one"}) == "data: one\n\n");
    CHECK(wire_form({.data = "one\ntwo\r\n\rfour\n"}) == "data: one\ndata: two\ndata: \ndata: four\ndata: \n\n");
    CHECK(wire_form({.data = " x: y"}) == "data:  x: y\n\n");
    CHECK(wire_form({.data = "x", .name = "add", .id = "7", .retry = 1500ms}) ==
          "event: add\nid: 7\nretry: 1500\ndata: x\n\n");
    CHECK(wire_form({.retry = -1ms}) == "retry: 0\ndata: \n\n");
    for (const std::string_view bad :
         {std::string_view("a\nb"), std::string_view("a\rb"), std::string_view("\n"), std::string_view("a\0b", 3)}) {
        CHECK_THROWS_AS(wire_form({.name = bad}), std::invalid_argument);
        CHECK_THROWS_AS(wire_form({.id = bad}), std::invalid_argument);
    }
}

TEST_CASE("comments, one after the other") {
    const auto talk = [](http::EventStream& stream) -> Task<> {
        co_await stream.comment("one\ndata: two");
        co_await stream.ping();
        co_await stream.send({.data = "three"});
        CHECK_FALSE(stream.draining());
    };
    CHECK(sent(talk) == ": one\n: data: two\n\n: \n\ndata: three\n\n");
}

namespace {

struct Nothing {
    explicit Nothing(asio::io_context&) {}
    void release() {}
};

/// Tells that it is there, and then when the server is to stop.
Task<> until_draining(http::EventStream& stream) {
    stream.end_at_drain(false);
    co_await stream.send({.data = "here"});
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!stream.draining()) {
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_await stream.send({.data = "bye"});
}

Task<> wait(http::EventStream& stream) {
    co_await stream.send({.data = "here"});
    co_await test::never();
}
Task<> wait_for_two(http::EventStream& stream) {
    co_await stream.send({.data = "here"});
    co_await test::either(test::never(), test::never());
}
/// Takes its being cancelled for the end of what it waits for.
Task<> return_at_last(http::EventStream& stream) {
    co_await stream.send({.data = "here"});
    try {
        co_await test::never();
    } catch (const std::system_error&) { // that was it
    }
}
Task<> send_much(http::EventStream& stream) {
    const std::string much(100'000, 'x');
    while (true) co_await stream.send({.data = much});
}
Task<> send_often(http::EventStream& stream) {
    while (true) co_await stream.send({.data = "here"});
}

using Producer = Task<> (*)(http::EventStream&);

Producer producer_of(std::string_view path) {
    if (path == "/wait") return wait;
    if (path == "/two") return wait_for_two;
    if (path == "/return") return return_at_last;
    if (path == "/much") return send_much;
    if (path == "/often") return send_often;
    return until_draining;
}

Task<http::Response> answer(const http::Request& request) { co_return http::events(producer_of(request.path())); }

Task<> serve(Nothing& nothing, test::TcpAcceptor& acceptor, http::ServerOptions options) {
    co_await http::serve(nothing, acceptor, answer, std::move(options));
}

} // namespace

TEST_CASE("events over a connection, until the server is to stop") {
    test::HttpServer<Nothing> server(serve);
    test::RawClient client(server.port);
    const std::string head = client.send(test::get("/")).response(false);
    CHECK(test::status_of(head) == "HTTP/1.1 200 OK");
    CHECK(test::has(head, "\r\nContent-Type: text/event-stream\r\n"));
    CHECK(test::has(head, "\r\nCache-Control: no-store\r\n"));
    CHECK(test::has(head, "\r\nX-Accel-Buffering: no\r\n"));
    const std::string here = "4\r\n: \n\n\r\nc\r\ndata: here\n\n\r\n";
    CHECK(client.take(here.size()) == here);
    server.stop();
    CHECK(client.rest() == "b\r\ndata: bye\n\n\r\n0\r\n\r\n");
    CHECK(server.finished());
}

namespace {

/// The chunks of a body as one text; "cut off" when the last one is missing.
std::string joined(std::string_view chunks) {
    std::string all;
    while (true) {
        const std::size_t end = chunks.find("\r\n");
        if (end == chunks.npos) return "cut off";
        const std::size_t size = std::stoul(std::string(chunks.substr(0, end)), nullptr, 16);
        chunks.remove_prefix(end + 2);
        if (chunks.size() < size + 2 || chunks.substr(size, 2) != "\r\n") return "cut off";
        if (size == 0) return chunks.size() == 2 ? all : "more behind the end";
        all += chunks.substr(0, size);
        chunks.remove_prefix(size + 2);
    }
}

} // namespace

TEST_CASE("events end by themselves when the server is to stop, and whole ones at that") {
    for (const char* path : {"/wait", "/two", "/return", "/much", "/often"}) {
        CAPTURE(path);
        test::HttpServer<Nothing> server(serve);
        test::RawClient client(server.port), late(server.port);
        client.send(test::get(path)).response(false);
        const std::string begin = client.take(9); // "4", CR LF, ": ", two LF, CR LF
        late.send("GET " + std::string(path) + " HTTP/1.1\r\n");
        REQUIRE(server.has(2));
        server.stop();
        const std::string events = joined(begin + client.rest());
        CHECK(events.starts_with(": \n\n"));
        CHECK(events.ends_with("\n\n"));
        CHECK(events.find("cut off") == events.npos);
        // One that begins only now ends at once.
        late.send("Host: h\r\n\r\n");
        CHECK(test::status_of(late.response(false)) == "HTTP/1.1 200 OK");
        CHECK(late.rest().ends_with("0\r\n\r\n"));
        CHECK(server.finished());
        CHECK(server.log().empty());
    }
}
