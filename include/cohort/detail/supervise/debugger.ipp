// SPDX-License-Identifier: MIT
// The bodies of debugger.hpp (layer 2).
#pragma once

#include <cohort/detail/supervise/debugger.hpp>

#include <cohort/detail/config.hpp>

#include <fstream>
#include <string>

namespace cohort::detail {

COHORT_DECL pid_t debugger_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    const std::string field = "TracerPid:";
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(field)) return static_cast<pid_t>(std::atol(line.c_str() + field.size()));
    return 0;
}

} // namespace cohort::detail
