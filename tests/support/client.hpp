// SPDX-License-Identifier: MIT
// A client of a worker that answers lines, and the worker's side of it.
#pragma once

#include "cluster.hpp"

#include <cohort/detail/system/unique_fd.hpp>

#include <asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace test {

/// Connected when constructed: the kernel completes that without anybody accepting. It ends by shutdown, since workers
/// that were forked meanwhile hold a copy of the descriptor.
class Client {
public:
    Client(asio::io_context& io, const Endpoint& endpoint, const Endpoint& from = {});
    Client(asio::io_context& io, std::uint16_t port);
    Client(Client&&);
    Client& operator=(Client&&);
    ~Client();

    /// Small enough for the socket's buffer.
    void write(const std::string& text);
    /// What the other side says until it ends; "reset" when that is how it ends.
    Task<std::string> read_all();
    /// The next line.
    Task<std::string> read_line();
    /// So many bytes.
    Task<> read_exactly(std::string& into, std::size_t size);
    /// Nothing has come so far.
    bool is_silent();
    void close();
    std::uint16_t local_port();
    Task<std::string> ask(std::string line);

private:
    Socket socket_;
};

/// Clients that have connected and sent a line each.
std::vector<Client> crowd(MasterBase& app, const Endpoint& endpoint, int count);

/// Reads a line and answers "<id> <line>".
Task<> answer(WorkerBase& self, Socket socket);

/// One connection after the other, until the listener ends.
Task<> serve(WorkerBase& self, Listener& listener);

Endpoint any_port();

/// "listening", or why not.
Task<std::string> try_to_listen(WorkerBase& self, Endpoint endpoint);

Task<> server(WorkerBase& self);

/// Serves when it is told to, so that connections wait before.
template <class W>
Task<> serve_when_told(W& self) {
    auto listener = co_await self.listen(any_port());
    const auto note = co_await self.receive();
    co_await serve(self, listener);
}

/// Says which worker this is, and keeps the connection until the client ends it.
Task<> keep(WorkerBase& self, Socket socket);

/// All connections that it gets, at the same time.
Task<> keep_all(WorkerBase& self, Listener& listener);
Task<> host(WorkerBase& self);

/// For a process without an event loop: a socket that is connected there; empty: refused.
detail::UniqueFd connected(const Endpoint& endpoint);
/// Whether somebody who has accepted this connection says something.
bool is_served(const detail::UniqueFd& client);

/// Which worker answered.
WorkerId who(const std::string& reply);

/// How many each worker answered; 0 stands for nobody.
Task<std::map<WorkerId, int>> answers(std::vector<Client>& clients);

Task<std::string> ask(MasterBase& app, Endpoint endpoint, std::string line = "hello");
Task<std::string> ask(MasterBase& app, std::uint16_t port, std::string line = "hello");

} // namespace test
