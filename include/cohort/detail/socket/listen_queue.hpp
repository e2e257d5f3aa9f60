// SPDX-License-Identifier: MIT
// How many connections wait in the kernel's queue of a listener (layer 2).
#pragma once

#include <cstdint>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace cohort::detail {

struct ListenQueue {
    std::uint32_t length = 0;
    std::uint32_t limit = 0;
};

/// For a listening socket tcp_info(7) has the length in tcpi_unacked and the backlog in tcpi_sacked. All 0 for a Unix
/// socket, of which the kernel does not tell.
inline ListenQueue listen_queue(int listener) noexcept {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
    return {info.tcpi_unacked, info.tcpi_sacked};
}

/// Somebody waits to be accepted.
inline bool has_waiting(int listener) noexcept {
    pollfd entry{listener, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
}

} // namespace cohort::detail
