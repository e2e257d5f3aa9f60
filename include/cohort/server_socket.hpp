// SPDX-License-Identifier: MIT
// ServerSocket: a listening socket outside of a worker, such as of a master that serves by itself (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/access.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <memory>
#include <optional>

namespace cohort {

namespace detail {

class OwnListener;

} // namespace detail

/// Listens on an endpoint that no worker shares, and that no new master gets at an upgrade. Satisfies Acceptor. Lives
/// on one event loop. At its end connections that were not accepted are reset; those that were accepted go on. Workers
/// that are forked meanwhile inherit these, as all that the program opens itself.
///
///     auto socket = co_await ServerSocket::listen(io.get_executor(), Endpoint::tcp("127.0.0.1", 9090));
///     co_await http::serve(socket, handler);
class ServerSocket {
public:
    /// Errors, as std::system_error: EADDRINUSE, EACCES, EADDRNOTAVAIL and others of bind(2); Errc::bad_endpoint.
    ServerSocket(const asio::any_io_executor& executor, const Endpoint& endpoint);
    ServerSocket(ServerSocket&&) noexcept = default;
    ServerSocket& operator=(ServerSocket&& other) noexcept;
    ~ServerSocket() { close(); }

    /// The same, but waits for as long as the endpoint is in use, as it is at an upgrade until the master before has
    /// left; a line on standard error says so once.
    [[nodiscard]] static Task<ServerSocket> listen(asio::any_io_executor executor, Endpoint endpoint);

    /// The next connection; nothing after close(). While descriptors or memory run short, clients wait. Cancelling
    /// loses none.
    [[nodiscard]] Task<std::optional<Socket>> accept() { return accept(listener_); }
    void close() noexcept;
    bool stopping() const noexcept;
    /// With the real port.
    const Endpoint& endpoint() const noexcept;

private:
    friend detail::Access;

    static Task<std::optional<Socket>> accept(std::shared_ptr<detail::OwnListener> listener);

    std::shared_ptr<detail::OwnListener> listener_;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/server_socket.ipp>
#endif
