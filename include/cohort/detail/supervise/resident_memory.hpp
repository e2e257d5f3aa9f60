// SPDX-License-Identifier: MIT
// How much memory a process has (layer 2).
#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include <sys/types.h>
#include <unistd.h>

namespace cohort::detail {

/// In bytes, with the pages it shares: the second number of /proc/<pid>/statm (proc(5)). The process must not have been
/// reaped, or its number may be another's. Empty: the system does not tell.
inline std::optional<std::uint64_t> resident_memory(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    if (!(file >> total >> resident)) return std::nullopt;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace cohort::detail
