// SPDX-License-Identifier: MIT
// The bodies of inherited_socket.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/inherited_socket.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/activation.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <fcntl.h>
#include <sys/socket.h>

namespace cohort::detail {

COHORT_DECL int socket_option(int socket, int option, std::error_code& error) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    if (::getsockopt(socket, SOL_SOCKET, option, &value, &size) != 0) error = last_error();
    return value;
}

COHORT_DECL bool is_socket_of(int type, int socket, std::error_code& error) noexcept {
    const int its_type = socket_option(socket, SO_TYPE, error);
    const int family = socket_option(socket, SO_DOMAIN, error);
    const bool is_known = family == AF_INET || family == AF_INET6 || (family == AF_UNIX && type == SOCK_STREAM);
    if (!error && its_type != type) error = {EPROTOTYPE, std::system_category()};
    if (!error && !is_known) error = {EAFNOSUPPORT, std::system_category()};
    return !error;
}

COHORT_DECL UniqueFd copy_inherited(const Endpoint& endpoint, int type, std::error_code& error) {
    error.clear();
    const int original =
        endpoint.is_activated() ? activated_descriptor(endpoint.activation_name(), error) : endpoint.descriptor();
    if (error || !is_socket_of(type, original, error)) return {};
    UniqueFd copy(::fcntl(original, F_DUPFD_CLOEXEC, 3));
    if (!copy || ::fcntl(copy.get(), F_SETFL, ::fcntl(copy.get(), F_GETFL) | O_NONBLOCK) != 0) error = last_error();
    return copy;
}

} // namespace cohort::detail
