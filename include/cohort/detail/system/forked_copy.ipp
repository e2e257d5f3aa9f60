// SPDX-License-Identifier: MIT
// The bodies of forked_copy.hpp (layer 2).
#pragma once

#include <cohort/detail/system/forked_copy.hpp>

#include <cohort/detail/log_line.hpp>
#include <cohort/detail/system/fork.hpp>

#include <exception>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL bool is_forked_copy = false;
COHORT_DECL bool forks_itself = false;

COHORT_DECL void cut_off_from_parent(std::span<const int> links, std::span<const int> of_loop) noexcept {
    is_forked_copy = true;
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return;
    ::close(ends[1]); // so that writing fails
    for (const int link : links)
        if (link >= 0) ::dup3(ends[0], link, O_CLOEXEC);
    try {
        for (const int fd : of_loop)
            if (belongs_to_event_loop(fd)) ::dup3(ends[0], fd, O_CLOEXEC);
    } catch (const std::exception&) {
        // No memory.
    }
    ::close(ends[0]);
}

COHORT_DECL void end_forked_copy() noexcept {
    log_line(LogLevel::warning, "process " + std::to_string(::getpid()) +
                                    ", which the program has forked from process " + std::to_string(::getppid()) +
                                    ", came back to cohort instead of ending: it ends here");
    leave_process(1);
}

} // namespace cohort::detail
