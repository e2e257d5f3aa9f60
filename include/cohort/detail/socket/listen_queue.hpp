// SPDX-License-Identifier: MIT
// How many connections wait in the kernel's queue of a listener (layer 2).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::detail {

struct ListenQueue {
    std::uint32_t length = 0;
    std::uint32_t limit = 0;
};

/// For a listening socket tcp_info(7) has the length in tcpi_unacked and the backlog in tcpi_sacked. All 0 for a Unix
/// socket, of which the kernel does not tell.
ListenQueue listen_queue(int listener) noexcept;

/// How many connections can wait in it at most: enough tries to take them all, also while clients go on connecting.
std::size_t most_in_queue(int listener) noexcept;

/// Whether a connection waits to be accepted.
bool has_waiting(int listener) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/listen_queue.ipp>
#endif
