// SPDX-License-Identifier: MIT
// Listening sockets made from an Endpoint: socket(7), ipv6(7), unix(7) (layer 2).
#pragma once

#include <cohort/detail/posix.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/error.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace cohort::detail {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);

    sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
    template <class Address>
    static SocketAddress of(const Address& address) noexcept {
        SocketAddress result;
        std::memcpy(&result.storage, &address, sizeof address);
        result.size = sizeof address;
        return result;
    }
};

inline SocketAddress any_address(int family, std::uint16_t port) noexcept {
    if (family == AF_INET6) {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        return SocketAddress::of(v6);
    }
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return SocketAddress::of(v4);
}

/// The address to bind. An empty host is IPv6's "any", which serves IPv4 too.
inline SocketAddress to_socket_address(const Endpoint& endpoint, std::error_code& error) {
    if (endpoint.is_unix()) {
        sockaddr_un path{};
        path.sun_family = AF_UNIX;
        if (endpoint.path().size() >= sizeof path.sun_path)
            error = {ENAMETOOLONG, std::system_category()};
        else
            std::memcpy(path.sun_path, endpoint.path().c_str(), endpoint.path().size());
        return SocketAddress::of(path);
    }
    if (endpoint.host().empty()) return any_address(AF_INET6, endpoint.port());
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET6, endpoint.host().c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(endpoint.port());
        return SocketAddress::of(v6);
    }
    sockaddr_in v4{};
    if (::inet_pton(AF_INET, endpoint.host().c_str(), &v4.sin_addr) != 1) error = Errc::bad_endpoint;
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port());
    return SocketAddress::of(v4);
}

inline void enable(int socket, int level, int option, bool enabled = true) noexcept {
    const int value = enabled ? 1 : 0;
    ::setsockopt(socket, level, option, &value, sizeof value);
}
inline bool is_enabled(int socket, int level, int option) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(socket, level, option, &value, &size) == 0 && value != 0;
}

/// An unnamed Unix socket has no path: nothing.
inline Endpoint to_endpoint(const SocketAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.storage.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
        return Endpoint::tcp(::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size()), ntohs(v6.sin6_port));
    }
    if (address.storage.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
        return Endpoint::tcp(::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size()), ntohs(v4.sin_port));
    }
    const auto& path = reinterpret_cast<const sockaddr_un&>(address.storage);
    if (address.size <= offsetof(sockaddr_un, sun_path) || path.sun_path[0] == 0) return {};
    return Endpoint::unix_path(path.sun_path);
}

/// Where a socket is bound: getsockname(2).
inline Endpoint local_endpoint(int socket) {
    SocketAddress address;
    if (::getsockname(socket, address.get(), &address.size) != 0) throw_last_error("getsockname");
    const Endpoint endpoint = to_endpoint(address);
    const bool only_v6 = address.storage.ss_family == AF_INET6 && is_enabled(socket, IPPROTO_IPV6, IPV6_V6ONLY);
    return only_v6 ? endpoint.only_v6() : endpoint;
}

/// The file of a Unix socket that nobody serves any more is in the way; one that is served is not ours to remove.
inline void remove_stale_path(const SocketAddress& address, const Endpoint& endpoint) {
    struct stat status {};
    if (::lstat(endpoint.path().c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (probe && ::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED)
        ::unlink(endpoint.path().c_str());
}

/// The file of a Unix socket that no longer listens. A socket leaves its file behind (unix(7)).
inline void remove_path(const Endpoint& endpoint) noexcept {
    if (endpoint.is_unix()) ::unlink(endpoint.path().c_str());
}

inline UniqueFd bind_to(const SocketAddress& address, const Endpoint& endpoint, bool reuse_port,
                        std::error_code& error) {
    const int family = address.storage.ss_family;
    UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        error = last_error();
        return {};
    }
    if (family == AF_UNIX)
        remove_stale_path(address, endpoint);
    else
        enable(socket.get(), SOL_SOCKET, SO_REUSEADDR);
    if (family != AF_UNIX) enable(socket.get(), IPPROTO_TCP, TCP_NODELAY); // its connections inherit it
    if (family == AF_INET6) enable(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, endpoint.v6_only());
    if (reuse_port) enable(socket.get(), SOL_SOCKET, SO_REUSEPORT);

    const mode_t previous = family == AF_UNIX ? ::umask(0777 & ~endpoint.mode()) : mode_t{};
    const bool bound = ::bind(socket.get(), address.get(), address.size) == 0;
    error = bound ? std::error_code{} : last_error();
    if (family == AF_UNIX) ::umask(previous);
    return bound ? std::move(socket) : UniqueFd();
}

/// A non-blocking socket that does not listen yet, or an error (EADDRINUSE, EACCES, ...). `reuse_port`: further ones
/// may be bound to the same address by this user (SO_REUSEPORT).
inline UniqueFd open_bound(const Endpoint& endpoint, bool reuse_port, std::error_code& error) {
    error.clear();
    const SocketAddress address = to_socket_address(endpoint, error);
    if (error) return {};
    UniqueFd socket = bind_to(address, endpoint, reuse_port && !endpoint.is_unix(), error);
    const bool without_ipv6 = error.value() == EAFNOSUPPORT || error.value() == EADDRNOTAVAIL;
    if (socket || endpoint.is_unix() || !endpoint.host().empty() || !without_ipv6) return socket;
    return bind_to(any_address(AF_INET, endpoint.port()), endpoint, reuse_port, error);
}

/// The same, listening.
inline UniqueFd open_listener(const Endpoint& endpoint, bool reuse_port, int backlog, std::error_code& error) {
    UniqueFd socket = open_bound(endpoint, reuse_port, error);
    if (!socket || ::listen(socket.get(), backlog) == 0) return socket;
    error = last_error();
    return {};
}

/// What accept(2) may say without anything being wrong with the listener: the one connection failed, or the kernel
/// passes on an error of the network (accept(2), "Error handling").
inline bool concerns_one_connection(int error) noexcept {
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

/// How long accepting rests when descriptors or memory have run out (EMFILE, ENFILE, ENOBUFS, ENOMEM).
inline constexpr std::chrono::milliseconds accept_rest{50};

} // namespace cohort::detail
