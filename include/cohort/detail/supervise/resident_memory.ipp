// SPDX-License-Identifier: MIT
// The bodies of resident_memory.hpp (layer 2).
#pragma once

#include <cohort/detail/supervise/resident_memory.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <fstream>
#include <string>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::optional<ProcessMemory> memory_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    std::uint64_t total = 0;
    ProcessMemory memory;
    if (!(file >> total >> memory.resident >> memory.shared)) return std::nullopt;
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    memory.resident *= page;
    memory.shared = std::min(memory.shared * page, memory.resident);
    return memory;
}

COHORT_DECL std::optional<std::uint64_t> resident_memory(pid_t pid) {
    const auto memory = memory_of(pid);
    return memory ? std::optional(memory->resident) : std::nullopt;
}

} // namespace cohort::detail
