// SPDX-License-Identifier: MIT
// How much memory a process has (layer 2).
#pragma once

#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace cohort::detail {

/// In bytes, with the pages it shares: the second number of /proc/<pid>/statm (proc(5)). The process must not have been
/// reaped, or its number may be another's. Empty: the system does not tell.
std::optional<std::uint64_t> resident_memory(pid_t pid);

struct ProcessMemory {
    std::uint64_t resident = 0;
    std::uint64_t shared = 0; ///< of it: files, and memory that others have
};
/// The same, with the third number.
std::optional<ProcessMemory> memory_of(pid_t pid);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/resident_memory.ipp>
#endif
