// SPDX-License-Identifier: MIT
// How much of the processor a process has used (layer 2).
#pragma once

#include <chrono>
#include <optional>

#include <sys/types.h>

namespace cohort::detail {

/// In user and system mode together, in steps of 1/sysconf(_SC_CLK_TCK) s: utime and stime of /proc/<pid>/stat
/// (proc(5)). The process must not have been reaped, or its number may be another's. Empty: the system does not tell.
std::optional<std::chrono::milliseconds> cpu_time(pid_t pid);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/cpu_time.ipp>
#endif
