// SPDX-License-Identifier: MIT
// The bodies of cpu_time.hpp (layer 2).
#pragma once

#include <cohort/detail/supervise/cpu_time.hpp>

#include <cohort/detail/config.hpp>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::optional<std::chrono::milliseconds> cpu_time(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text(std::istreambuf_iterator<char>(file), {});
    const auto name_ends = text.rfind(')'); // a name may have anything else
    if (name_ends == std::string::npos) return std::nullopt;
    std::istringstream fields(text.substr(name_ends + 1));
    std::string skipped;
    for (int field = 3; field != 14; ++field) fields >> skipped;
    std::uint64_t user = 0;
    std::uint64_t system = 0;
    const long steps = ::sysconf(_SC_CLK_TCK);
    if (!(fields >> user >> system) || steps <= 0) return std::nullopt;
    return std::chrono::milliseconds((user + system) * 1'000 / static_cast<std::uint64_t>(steps));
}

} // namespace cohort::detail
