// SPDX-License-Identifier: MIT
// Messages with a descriptor between a master and its workers, and connections to send in them.
#pragma once

#include "cluster.hpp"

#include <cohort/handle.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <string>

namespace test {

struct Load {
    std::string text;
    Handle handle;
};

using Loads = Master<Load, RoundRobin>;

Task<> send_load(Loads& app, WorkerId worker, std::string text, Handle handle = {});

/// A connection over loopback.
struct TcpPair {
    explicit TcpPair(asio::io_context& io);
    asio::ip::tcp::socket client;
    asio::ip::tcp::socket server;
};

/// What comes until the other side ends, or resets the connection.
Task<std::string> read_all(asio::ip::tcp::socket& socket);

} // namespace test
