// SPDX-License-Identifier: MIT
// The bodies of terminal.hpp (layer 2).
#pragma once

#include <cohort/detail/system/terminal.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace cohort::detail {

/// tty(4): the controlling terminal; ENXIO: there is none. Empty: there is no telling.
COHORT_DECL std::optional<bool> has_terminal() {
    if (UniqueFd(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC))) return true;
    if (errno == ENXIO || errno == EIO) return false;
    return std::nullopt;
}

COHORT_DECL Terminal::Terminal() : leader_(::getsid(0)), parent_(::getppid()), was_there_(has_terminal() == true) {}

COHORT_DECL bool Terminal::is_gone(const Signal& hangup) const {
    if (hangup.from_kernel) return true;
    const bool is_shell = hangup.sender != 0 && (hangup.sender == leader_ || hangup.sender == parent_);
    return was_there_ && is_shell && has_terminal() == false;
}

} // namespace cohort::detail
