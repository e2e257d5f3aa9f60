// SPDX-License-Identifier: MIT
// What compile_time.sh compares with: a server of coroutines, of Asio alone.
// Run:    asio_echo [PORT]      (5000 by default), then: nc localhost 5000
// Expect: every connection gets back what it sends. Ctrl-C stops it.

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <array>
#include <cstdlib>
#include <iostream>
#include <system_error>

using asio::ip::tcp;

asio::awaitable<void> echo(tcp::socket socket) {
    std::array<char, 4096> buffer;
    try {
        for (;;) {
            const std::size_t size = co_await socket.async_read_some(asio::buffer(buffer), asio::use_awaitable);
            co_await asio::async_write(socket, asio::buffer(buffer, size), asio::use_awaitable);
        }
    } catch (const std::system_error&) {
        // the client has gone
    }
}

asio::awaitable<void> serve(unsigned short port) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::acceptor acceptor(executor, {tcp::v6(), port});
    std::cout << "asio_echo: listening on port " << acceptor.local_endpoint().port() << std::endl;
    for (;;) {
        tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
        asio::co_spawn(executor, echo(std::move(socket)), asio::detached);
    }
}

int main(int argc, char** argv) {
    try {
        asio::io_context context(1);
        asio::signal_set signals(context, SIGINT, SIGTERM);
        signals.async_wait([&](const std::error_code&, int) { context.stop(); });
        asio::co_spawn(context, serve(static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 5000)),
                       [](std::exception_ptr failure) {
                           if (failure) std::rethrow_exception(failure);
                       });
        context.run();
    } catch (const std::exception& error) {
        std::cerr << "asio_echo: " << error.what() << std::endl;
        return 1;
    }
}
