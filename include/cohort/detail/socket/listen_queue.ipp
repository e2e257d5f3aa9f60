// SPDX-License-Identifier: MIT
// The bodies of listen_queue.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/listen_queue.hpp>

#include <cohort/detail/config.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace cohort::detail {

COHORT_DECL ListenQueue listen_queue(int listener) noexcept {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
    return {info.tcpi_unacked, info.tcpi_sacked};
}

COHORT_DECL std::size_t most_in_queue(int listener) noexcept {
    constexpr std::size_t of_unix_sockets = 4096; // net.core.somaxconn, by default
    const ListenQueue queue = listen_queue(listener);
    return queue.limit != 0 ? std::size_t{queue.limit} + 1 : of_unix_sockets;
}

COHORT_DECL bool has_waiting(int listener) noexcept {
    pollfd entry{listener, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
}

} // namespace cohort::detail
