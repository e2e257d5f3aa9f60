// SPDX-License-Identifier: MIT
// The bodies of listen_socket.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/listen_socket.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/inherited_socket.hpp>
#include <cohort/detail/socket/socket_file.hpp>

#include <netinet/tcp.h>

namespace cohort::detail {

COHORT_DECL UniqueFd bind_to(const SocketAddress& address, const Endpoint& endpoint, bool reuse_port, int type,
                             std::error_code& error) {
    UniqueFd socket(::socket(address.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        error = last_error();
        return {};
    }
    if (type == SOCK_STREAM) { // for UDP, SO_REUSEADDR would let others take the port away
        enable(socket.get(), SOL_SOCKET, SO_REUSEADDR);
        enable(socket.get(), IPPROTO_TCP, TCP_NODELAY); // its connections inherit it
    }
    if (address.family() == AF_INET6) enable(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, endpoint.v6_only());
    if (reuse_port) enable(socket.get(), SOL_SOCKET, SO_REUSEPORT);
    // It may be lent: nobody can then have the kernel drop or redirect what comes, also for those who follow
    // (socket(7)).
    enable(socket.get(), SOL_SOCKET, SO_LOCK_FILTER);
    const bool bound = ::bind(socket.get(), address.get(), address.size) == 0;
    error = bound ? std::error_code{} : last_error();
    return bound ? std::move(socket) : UniqueFd();
}

COHORT_DECL UniqueFd open_bound(const Endpoint& endpoint, bool reuse_port, std::error_code& error, int type) {
    error.clear();
    const SocketAddress address = to_socket_address(endpoint, error);
    if (error) return {};
    UniqueFd socket = bind_to(address, endpoint, reuse_port, type, error);
    const bool without_ipv6 = error.value() == EAFNOSUPPORT || error.value() == EADDRNOTAVAIL;
    if (socket || !endpoint.host().empty() || !without_ipv6) return socket;
    return bind_to(any_address(AF_INET, endpoint.port()), endpoint, reuse_port, type, error);
}

COHORT_DECL UniqueFd bind_path(const SocketAddress& address, unsigned mode, std::error_code& error) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const mode_t previous = ::umask(0777 & ~mode);
    const bool bound = socket && ::bind(socket.get(), address.get(), address.size) == 0;
    error = bound ? std::error_code{} : last_error();
    ::umask(previous);
    return bound ? std::move(socket) : UniqueFd();
}

COHORT_DECL UniqueFd listen_with(UniqueFd socket, int backlog, std::error_code& error) {
    if (!socket || ::listen(socket.get(), backlog) == 0) return socket;
    error = last_error();
    return {};
}

COHORT_DECL void listen_again(int socket, int backlog) noexcept {
    if (!is_enabled(socket, SOL_SOCKET, SO_ACCEPTCONN)) ::listen(socket, backlog);
}

COHORT_DECL UniqueFd open_path_listener(const Endpoint& endpoint, int backlog, std::error_code& error) {
    error.clear();
    const SocketAddress address = to_socket_address(endpoint, error);
    if (error) return {};
    const PathLock until_it_listens(endpoint.path());
    UniqueFd socket = bind_path(address, endpoint.mode(), error);
    if (error == std::errc::address_in_use && remove_stale_file(endpoint.path()))
        socket = bind_path(address, endpoint.mode(), error);
    return listen_with(std::move(socket), backlog, error);
}

COHORT_DECL UniqueFd open_inherited_listener(const Endpoint& endpoint, int backlog, std::error_code& error) {
    UniqueFd socket = copy_inherited(endpoint, SOCK_STREAM, error);
    if (error) return {};
    enable(socket.get(), IPPROTO_TCP, TCP_NODELAY); // a Unix socket has no such option
    return is_enabled(socket.get(), SOL_SOCKET, SO_ACCEPTCONN) ? std::move(socket)
                                                               : listen_with(std::move(socket), backlog, error);
}

COHORT_DECL UniqueFd open_listener(const Endpoint& endpoint, bool reuse_port, int backlog, std::error_code& error) {
    if (endpoint.is_unix()) return open_path_listener(endpoint, backlog, error);
    if (!endpoint.is_tcp()) return open_inherited_listener(endpoint, backlog, error);
    return listen_with(open_bound(endpoint, reuse_port, error), backlog, error);
}

COHORT_DECL bool concerns_one_connection(int error) noexcept {
    switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH: return true;
        default: return false;
    }
}

} // namespace cohort::detail
