// SPDX-License-Identifier: MIT
#include "handles.hpp"

#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <system_error>
#include <utility>

namespace test {

Task<> send_load(Loads& app, WorkerId worker, std::string text, Handle handle) {
    const Load load{std::move(text), std::move(handle)};
    co_await app.send(worker, load);
}

TcpPair::TcpPair(asio::io_context& io) : client(io), server(io) {
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    client.connect(acceptor.local_endpoint());
    server = acceptor.accept();
}

Task<std::string> read_all(asio::ip::tcp::socket& socket) {
    std::string text;
    std::error_code error;
    co_await asio::async_read(socket, asio::dynamic_buffer(text), asio::redirect_error(asio::use_awaitable, error));
    co_return text;
}

} // namespace test
