// SPDX-License-Identifier: MIT
// Listening sockets made from an Endpoint: socket(7), ipv6(7), unix(7) (layer 2).
#pragma once

#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <chrono>

namespace cohort::detail {

UniqueFd bind_to(const SocketAddress& address, const Endpoint& endpoint, bool reuse_port, int type,
                 std::error_code& error);

/// A non-blocking socket of a host and port that does not listen yet, or an error (EADDRINUSE, EACCES, ...).
/// `reuse_port`: further ones may be bound to the same address by this user (SO_REUSEPORT).
UniqueFd open_bound(const Endpoint& endpoint, bool reuse_port, std::error_code& error, int type = SOCK_STREAM);

/// Makes the file, with the permission bits that were asked for whatever the umask is.
UniqueFd bind_path(const SocketAddress& address, unsigned mode, std::error_code& error);

UniqueFd listen_with(UniqueFd socket, int backlog, std::error_code& error);

/// A file that nobody serves any more is replaced. Of programs that do this at the same moment one gets the path.
UniqueFd open_path_listener(const Endpoint& endpoint, int backlog, std::error_code& error);

/// Whoever had it before may have ended its listening by shutdown(2): then it listens again.
void listen_again(int socket, int backlog) noexcept;

/// Listens on a copy of an inherited socket, unless it listens already.
UniqueFd open_inherited_listener(const Endpoint& endpoint, int backlog, std::error_code& error);

/// A non-blocking listening socket, or an error (EADDRINUSE, EACCES, ...). `reuse_port`: as of open_bound(); there is
/// only one of a Unix path or of an inherited socket.
UniqueFd open_listener(const Endpoint& endpoint, bool reuse_port, int backlog, std::error_code& error);

/// Whether an error of accept(2) leaves the listener intact: the one connection failed, or the kernel reports a network
/// error (accept(2), "Error handling").
bool concerns_one_connection(int error) noexcept;

/// How long accepting rests when descriptors or memory have run out (EMFILE, ENFILE, ENOBUFS, ENOMEM).
inline constexpr std::chrono::milliseconds accept_rest{50};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/listen_socket.ipp>
#endif
