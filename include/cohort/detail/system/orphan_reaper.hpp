// SPDX-License-Identifier: MIT
// Reaping orphaned processes, as process 1 of a system must (layer 2).
#pragma once

#include <cerrno>

#include <sys/wait.h>

namespace cohort::detail {

/// Processes whose parents die become children of this one: it is process 1 of its container, or a subreaper (prctl(2),
/// PR_SET_CHILD_SUBREAPER).
bool inherits_orphans() noexcept;

/// Reaps ended children until it meets one of `is_ours(pid)`, which its own watcher reaps, or there are none, or it has
/// reaped many. False: there may be others; look again in a while.
template <class IsOurs>
bool reap_strangers(IsOurs is_ours) noexcept {
    for (int left = 256; left > 0; --left) {
        siginfo_t info{};
        const int result = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
        if (result != 0 && errno == EINTR) continue;
        if (result != 0 || info.si_pid == 0) return true;
        if (is_ours(info.si_pid)) return false;
        // By its pid: nobody else reaps this child, so the pid cannot have been reused.
        ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
    }
    return false;
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/orphan_reaper.ipp>
#endif
