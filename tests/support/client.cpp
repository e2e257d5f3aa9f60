// SPDX-License-Identifier: MIT
#include "client.hpp"

#include "process.hpp"

#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/system/system.hpp>

#include <asio/generic/stream_protocol.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <cerrno>
#include <system_error>

#include <sys/socket.h>
#include <unistd.h>

namespace test {

Client::Client(asio::io_context& io, const Endpoint& endpoint, const Endpoint& from) : socket_(io) {
    std::error_code error;
    auto address = detail::to_socket_address(endpoint, error);
    const int family = address.storage.ss_family;
    const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto own_address = detail::to_socket_address(from, error);
    if (!from.host().empty() && ::bind(fd, own_address.get(), own_address.size) != 0) error = detail::last_error();
    if (error || fd < 0 || ::connect(fd, address.get(), address.size) != 0) {
        error = error ? error : detail::last_error();
        ::close(fd);
        throw std::system_error(error, "connect");
    }
    socket_.assign(asio::generic::stream_protocol(family, family == AF_UNIX ? 0 : IPPROTO_TCP), fd);
}
Client::Client(asio::io_context& io, std::uint16_t port) : Client(io, Endpoint::tcp("127.0.0.1", port)) {}
Client::Client(Client&&) = default;
Client& Client::operator=(Client&&) = default;
Client::~Client() {
    std::error_code ignored;
    if (socket_.is_open()) socket_.shutdown(asio::socket_base::shutdown_both, ignored);
}

void Client::write(const std::string& text) { asio::write(socket_, asio::buffer(text)); }

Task<std::string> Client::read_all() {
    std::string text;
    std::error_code error;
    co_await asio::async_read(socket_, asio::dynamic_buffer(text), asio::redirect_error(asio::use_awaitable, error));
    co_return error == asio::error::eof ? text : "reset";
}

Task<std::string> Client::read_line() {
    std::string line;
    while (!line.ends_with('\n')) {
        char next = 0;
        co_await asio::async_read(socket_, asio::buffer(&next, 1), asio::use_awaitable);
        line += next;
    }
    line.pop_back();
    co_return line;
}

Task<> Client::read_exactly(std::string& into, std::size_t size) {
    into.resize(size);
    co_await asio::async_read(socket_, asio::buffer(into), asio::use_awaitable);
}

bool Client::is_silent() {
    char byte = 0;
    return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void Client::close() { socket_.close(); }

std::uint16_t Client::local_port() { return detail::local_endpoint(socket_.native_handle()).port(); }

Task<std::string> Client::ask(std::string line) {
    write(line + "\n");
    co_return co_await read_all();
}

std::vector<Client> crowd(MasterBase& app, const Endpoint& endpoint, int count) {
    std::vector<Client> clients;
    for (int i = 0; i < count; ++i) {
        clients.emplace_back(app.context(), endpoint);
        clients.back().write(std::to_string(i) + "\n");
    }
    return clients;
}

Task<> answer(WorkerBase& self, Socket socket) {
    std::string line;
    std::error_code error;
    const std::size_t size = co_await asio::async_read_until(socket, asio::dynamic_buffer(line), '\n',
                                                             asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    const std::string reply = std::to_string(self.id()) + " " + line.substr(0, size - 1);
    co_await asio::async_write(socket, asio::buffer(reply), asio::redirect_error(asio::use_awaitable, error));
    socket.shutdown(asio::socket_base::shutdown_both, error);
}

Task<> serve(WorkerBase& self, Listener& listener) {
    while (auto socket = co_await listener.accept()) co_await answer(self, std::move(*socket));
}

Endpoint any_port() { return Endpoint("127.0.0.1:0"); }

Task<std::string> try_to_listen(WorkerBase& self, Endpoint endpoint) {
    try {
        const auto listener = co_await self.listen(endpoint);
    } catch (const std::system_error& error) {
        co_return error.code().message();
    }
    co_return "listening";
}

Task<> server(WorkerBase& self) {
    auto listener = co_await self.listen(any_port());
    co_await serve(self, listener);
}

Task<> keep(WorkerBase& self, Socket socket) {
    const std::string greeting = std::to_string(self.id()) + "\n";
    std::error_code error;
    co_await asio::async_write(socket, asio::buffer(greeting), asio::redirect_error(asio::use_awaitable, error));
    char byte = 0;
    co_await socket.async_read_some(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
}

Task<> keep_all(WorkerBase& self, Listener& listener) {
    while (auto socket = co_await listener.accept()) spawn(self.context(), keep(self, std::move(*socket)));
}

Task<> host(WorkerBase& self) {
    auto listener = co_await self.listen(any_port());
    co_await keep_all(self, listener);
}

detail::UniqueFd connected(const Endpoint& endpoint) {
    std::error_code error;
    const auto address = detail::to_socket_address(endpoint, error);
    detail::UniqueFd client(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (error || ::connect(client.get(), address.get(), address.size) != 0) client.reset();
    return client;
}

bool is_served(const detail::UniqueFd& client) {
    char byte = 0;
    return client && readable_within(client.get(), 20s) && ::recv(client.get(), &byte, 1, 0) == 1;
}

WorkerId who(const std::string& reply) {
    return reply.empty() || reply == "reset" ? 0 : static_cast<WorkerId>(std::stoul(reply));
}

Task<std::map<WorkerId, int>> answers(std::vector<Client>& clients) {
    std::map<WorkerId, int> count;
    for (auto& client : clients) {
        const std::string reply = co_await client.read_all();
        ++count[who(reply)];
    }
    co_return count;
}

Task<std::string> ask(MasterBase& app, Endpoint endpoint, std::string line) {
    Client client(app.context(), endpoint);
    co_return co_await client.ask(std::move(line));
}

Task<std::string> ask(MasterBase& app, std::uint16_t port, std::string line) {
    Client client(app.context(), port);
    co_return co_await client.ask(std::move(line));
}

} // namespace test
