// A protocol of one's own: each line comes back with its number, and connections survive a reload.
// Run:    handover [PORT]       (3000 by default), then: nc localhost 3000, type lines, and kill -HUP PID in between
// Expect: the numbers go on although another worker answers, and no line is lost, not even a half of one.

#include <cohort.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>

#include <iostream>

using namespace cohort;
using namespace asio::experimental::awaitable_operators;

struct Nothing {};
using App = Master<Nothing>;

auto or_error(std::error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

Task<> number_lines(App::Worker& self, Listener& listener, Socket socket) {
    const std::string state = socket.state(); // of the worker before: "<lines> <begin of the next one>"
    int lines = state.empty() ? 0 : std::stoi(state);
    std::string text = state.empty() ? "" : state.substr(state.find(' ') + 1);
    std::error_code error;
    while (!error && text.size() < 4000) { // longer is no line: a state has room for 4096 bytes
        co_await (socket.async_wait(Socket::wait_read, asio::use_awaitable) || self.until_stopping());
        if (listener.hand_over(socket, std::to_string(lines) + " " + text) || self.stopping()) co_return;
        char bytes[1024];
        const auto size = co_await socket.async_read_some(asio::buffer(bytes), or_error(error));
        text.append(bytes, size);
        std::string answer;
        for (std::size_t end = 0; (end = text.find('\n')) != text.npos; text.erase(0, end + 1))
            answer += "worker " + std::to_string(self.id()) + ", line " + std::to_string(++lines) + ": " +
                      text.substr(0, end + 1);
        if (!error) co_await asio::async_write(socket, asio::buffer(answer), or_error(error));
    }
}

Task<> serve(App::Worker& self) {
    auto listener = co_await self.listen(self.args().at(0));
    std::cout << "Worker " << self.id() << " listens on " << listener.endpoint().to_string() << std::endl;
    while (auto socket = co_await listener.accept())
        asio::co_spawn(self.context(), number_lines(self, listener, std::move(*socket)), asio::detached);
    while (self.open_connections() > 0) { // until each is given away or has ended
        asio::steady_timer timer(self.context(), std::chrono::milliseconds(1));
        co_await timer.async_wait(asio::use_awaitable);
    }
}

int main(int argc, char** argv) { return run<App>({.worker = {.args = {argc > 1 ? argv[1] : "3000"}}}, serve); }
