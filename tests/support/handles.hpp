// SPDX-License-Identifier: MIT
// Messages with a descriptor between a master and its workers, and connections to send in them.
#pragma once

#include "cluster.hpp"

#include <cohort/handle.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <string>
#include <utility>

namespace test {

struct Load {
    std::string text;
    Handle handle;
};

using Loads = Master<Load, RoundRobin>;

inline Task<> send_load(Loads& app, WorkerId worker, std::string text, Handle handle = {}) {
    const Load load{std::move(text), std::move(handle)};
    co_await app.send(worker, load);
}

/// A connection over loopback.
struct TcpPair {
    explicit TcpPair(asio::io_context& io) : client(io), server(io) {
        asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
        client.connect(acceptor.local_endpoint());
        server = acceptor.accept();
    }
    asio::ip::tcp::socket client;
    asio::ip::tcp::socket server;
};

/// What comes until the other side ends, or resets the connection.
inline Task<std::string> read_all(asio::ip::tcp::socket& socket) {
    std::string text;
    std::error_code error;
    co_await asio::async_read(socket, asio::dynamic_buffer(text), asio::redirect_error(asio::use_awaitable, error));
    co_return text;
}

} // namespace test
