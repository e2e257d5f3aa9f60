// SPDX-License-Identifier: MIT
// The bodies of connect.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/connect.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/system/system.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <string>

#include <sys/socket.h>

namespace cohort::detail {

COHORT_LAZY COHORT_DECL Task<UniqueFd> connect_to(asio::any_io_executor executor, Endpoint endpoint) {
    const std::string what = "connect to " + endpoint.to_string();
    std::error_code error;
    if (!endpoint.is_unix()) error = Errc::bad_endpoint;
    const SocketAddress address = to_socket_address(endpoint, error);
    if (error) throw std::system_error(error, what);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) throw_last_error("socket");
    asio::steady_timer retry(executor);
    for (std::chrono::milliseconds pause{1}; ::connect(socket.get(), address.get(), address.size) != 0;) {
        if (!would_block(errno) && errno != EINTR) throw std::system_error(last_error(), what);
        retry.expires_after(pause);
        pause = std::min(2 * pause, std::chrono::milliseconds(50));
        co_await until_expired(retry);
    }
    co_return socket;
}

} // namespace cohort::detail
