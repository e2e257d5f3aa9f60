// SPDX-License-Identifier: MIT
#include <cohort/server_socket.hpp>

#include "support/client.hpp"
#include "support/folder.hpp"
#include "support/run_for.hpp"

#include <cohort/http/response.hpp>
#include <cohort/http/serve.hpp>

#include <asio/steady_timer.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

using namespace test;

namespace {

const Endpoint any = Endpoint::tcp("127.0.0.1", 0);

Task<http::Response> hello(const http::Request&) { co_return http::text("hello"); }

Task<> ask_once(asio::io_context& io, ServerSocket& socket, std::string& answer) {
    Client client(io, socket.endpoint().port());
    client.write("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    answer = co_await client.read_all();
    socket.close();
}

Task<> accept_none(ServerSocket& socket, bool& ended) {
    const auto none = co_await socket.accept();
    ended = !none;
}

Task<> listen_at(asio::io_context& io, Endpoint endpoint, std::optional<ServerSocket>& socket) {
    auto listening = co_await ServerSocket::listen(io.get_executor(), endpoint);
    socket.emplace(std::move(listening));
}

} // namespace

TEST_CASE("what it accepts can be served, until it is closed") {
    asio::io_context io(1);
    ServerSocket socket(io.get_executor(), any);
    REQUIRE(socket.endpoint().port() != 0);
    std::string answer;
    start(io, ask_once(io, socket, answer));
    run_for(io, http::serve(socket, hello));
    CHECK(answer.ends_with("\r\n\r\nhello"));
    CHECK(socket.stopping());
}

TEST_CASE("closing ends the wait for a connection; what is assigned to it closes the one before") {
    asio::io_context io(1);
    ServerSocket socket(io.get_executor(), any);
    const Endpoint first = socket.endpoint();
    bool ended = false;
    start(io, accept_none(socket, ended));
    settle(io);
    CHECK_FALSE(ended);
    socket = ServerSocket(io.get_executor(), any);
    run_until(io, [&ended] { return ended; });
    CHECK_FALSE(socket.stopping());
    const ServerSocket again(io.get_executor(), first); // its port is free
    CHECK(again.endpoint().port() == first.port());
}

TEST_CASE("an endpoint in use is an error, or waited for") {
    asio::io_context io(1);
    const Folder folder;
    for (const Endpoint& endpoint : {any, Endpoint::unix_path(folder / "socket")}) {
        CAPTURE(endpoint.to_string());
        std::optional<ServerSocket> first(std::in_place, io.get_executor(), endpoint);
        const Endpoint used = first->endpoint();
        CHECK(error_of([&] { const ServerSocket second(io.get_executor(), used); }) == std::errc::address_in_use);
        std::optional<ServerSocket> second;
        start(io, listen_at(io, used, second));
        settle(io);
        CHECK_FALSE(second);
        first.reset();
        run_until(io, [&second] { return second.has_value(); });
        CHECK(second->endpoint() == used);
        second->close();
    }
    CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("what cannot be listened on is an error at once, however one asks") {
    asio::io_context io(1);
    const Endpoint strange = Endpoint::tcp("192.0.2.1", 80);
    CHECK(error_of([&] { const ServerSocket socket(io.get_executor(), strange); }) == std::errc::address_not_available);
    std::optional<ServerSocket> socket;
    CHECK(error_of([&] { run_for(io, listen_at(io, strange, socket)); }) == std::errc::address_not_available);
}
