// SPDX-License-Identifier: MIT
// The bodies of resident_memory.hpp (layer 2).
#pragma once

#include <cohort/detail/supervise/resident_memory.hpp>

#include <cohort/detail/config.hpp>

#include <fstream>
#include <string>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::optional<std::uint64_t> resident_memory(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    if (!(file >> total >> resident)) return std::nullopt;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace cohort::detail
