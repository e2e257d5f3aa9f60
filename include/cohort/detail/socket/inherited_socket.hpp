// SPDX-License-Identifier: MIT
// Sockets that the program was started with, or has opened by itself (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>

#include <system_error>

namespace cohort::detail {

/// The value of an option, or an error: EBADF, ENOTSOCK.
int socket_option(int socket, int option, std::error_code& error) noexcept;

/// Whether it is a socket of this type (SOCK_STREAM, SOCK_DGRAM) in a family that is known here. Else EBADF, ENOTSOCK,
/// EPROTOTYPE, EAFNOSUPPORT.
bool is_socket_of(int type, int socket, std::error_code& error) noexcept;

/// A copy of the socket that an inherited or activated endpoint names, or an error. It is non-blocking from now on, for
/// everybody who has it.
UniqueFd copy_inherited(const Endpoint& endpoint, int type, std::error_code& error);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/inherited_socket.ipp>
#endif
