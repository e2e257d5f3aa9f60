// SPDX-License-Identifier: MIT
// Sockets that the program was started with, or has opened by itself (layer 2).
#pragma once

#include <cohort/detail/socket/activation.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <fcntl.h>
#include <sys/socket.h>

namespace cohort::detail {

/// The value of an option, or an error: EBADF, ENOTSOCK.
inline int socket_option(int socket, int option, std::error_code& error) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    if (::getsockopt(socket, SOL_SOCKET, option, &value, &size) != 0) error = last_error();
    return value;
}

/// Whether it is a socket of this type (SOCK_STREAM, SOCK_DGRAM) in a family that is known here. Else EBADF, ENOTSOCK,
/// EPROTOTYPE, EAFNOSUPPORT.
inline bool is_socket_of(int type, int socket, std::error_code& error) noexcept {
    const int its_type = socket_option(socket, SO_TYPE, error);
    const int family = socket_option(socket, SO_DOMAIN, error);
    const bool is_known = family == AF_INET || family == AF_INET6 || (family == AF_UNIX && type == SOCK_STREAM);
    if (!error && its_type != type) error = {EPROTOTYPE, std::system_category()};
    if (!error && !is_known) error = {EAFNOSUPPORT, std::system_category()};
    return !error;
}

/// A copy of the socket that an inherited or activated endpoint names, or an error. It is non-blocking from now on, for
/// everybody who has it.
inline UniqueFd copy_inherited(const Endpoint& endpoint, int type, std::error_code& error) {
    error.clear();
    const int original =
        endpoint.is_activated() ? activated_descriptor(endpoint.activation_name(), error) : endpoint.descriptor();
    if (error || !is_socket_of(type, original, error)) return {};
    UniqueFd copy(::fcntl(original, F_DUPFD_CLOEXEC, 3));
    if (!copy || ::fcntl(copy.get(), F_SETFL, ::fcntl(copy.get(), F_GETFL) | O_NONBLOCK) != 0) error = last_error();
    return copy;
}

} // namespace cohort::detail
