// SPDX-License-Identifier: MIT
// Endpoints as the kernel writes them: socket(7), ipv6(7), unix(7) (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>

#include <cstring>
#include <string>

#include <sys/socket.h>
#include <sys/un.h>

namespace cohort::detail {

/// What bind(2) and connect(2) take.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);
    UniqueFd folder; ///< through which a long path is reached, as long as this is open

    sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const noexcept { return storage.ss_family; }
    template <class Address>
    static SocketAddress of(const Address& address) noexcept {
        SocketAddress result;
        std::memcpy(&result.storage, &address, sizeof address);
        result.size = sizeof address;
        return result;
    }
};

SocketAddress any_address(int family, std::uint16_t port) noexcept;

/// sun_path has room for 107 bytes. A longer path goes through a descriptor of its folder (/proc/self/fd, proc(5)),
/// which needs no chdir(2); then only the file name must fit.
SocketAddress unix_address(const std::string& path, std::error_code& error);

/// The address to bind or to connect to. An empty host is IPv6's "any", which serves IPv4 too.
SocketAddress to_socket_address(const Endpoint& endpoint, std::error_code& error);

void enable(int socket, int level, int option, bool enabled = true) noexcept;
bool is_enabled(int socket, int level, int option) noexcept;

/// A Unix path comes without its mode, a long one as it was bound, and an abstract name as "@name"; an unnamed socket
/// has none: nothing.
Endpoint to_endpoint(const SocketAddress& address);

/// Where a socket is bound: getsockname(2).
Endpoint local_endpoint(int socket);

/// Where a socket made for `requested` is bound: with the port assigned for port 0, and a path as it was requested.
Endpoint bound_endpoint(int socket, const Endpoint& requested);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/socket_address.ipp>
#endif
