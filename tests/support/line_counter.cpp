// SPDX-License-Identifier: MIT
#include "line_counter.hpp"

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <system_error>
#include <utility>

namespace test {

Task<> count_lines(WorkerBase& self, Listener& listener, Socket socket) {
    using namespace asio::experimental::awaitable_operators;
    int count = socket.state().empty() ? 0 : std::stoi(socket.state());
    for (std::error_code error; !error;) {
        co_await (socket.async_wait(Socket::wait_read, asio::use_awaitable) || self.until_stopping());
        if (listener.hand_over(socket, std::to_string(count))) co_return;
        std::string line;
        co_await asio::async_read_until(socket, asio::dynamic_buffer(line), '\n',
                                        asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        const std::string reply = std::to_string(self.id()) + " " + std::to_string(++count) + "\n";
        co_await asio::async_write(socket, asio::buffer(reply), asio::redirect_error(asio::use_awaitable, error));
    }
}

Task<> line_counter(WorkerBase& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept())
        spawn(self.context(), count_lines(self, listener, std::move(*socket)));
    while (self.open_connections() != 0) co_await pause(self.context(), 1ms);
}

Task<std::string> say_and_hear(Client& client) {
    client.write("line\n");
    co_return co_await client.read_line();
}

} // namespace test
