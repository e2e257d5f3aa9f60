// SPDX-License-Identifier: MIT
// The body of rights.hpp (layer 2).
#pragma once

#include <cohort/detail/system/rights.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace cohort::detail {

/// From /proc/PID/status.
struct Rights {
    std::string users; ///< real, effective, saved, of files
    std::string groups;
    std::uint64_t capabilities = 0; ///< effective
};

COHORT_DECL std::optional<Rights> rights_of(const std::string& process) {
    std::ifstream file("/proc/" + process + "/status");
    Rights rights;
    bool complete = false;
    for (std::string line; std::getline(file, line);) {
        const auto is = [&line](std::string_view field) { return line.starts_with(field); };
        if (is("Uid:")) rights.users = line;
        if (is("Gid:") || is("Groups:")) rights.groups += line;
        if (!is("CapEff:")) continue;
        rights.capabilities = std::strtoull(line.c_str() + sizeof "CapEff:" - 1, nullptr, 16);
        complete = true;
    }
    return complete ? std::optional(rights) : std::nullopt;
}

COHORT_DECL bool is_in_own_user_namespace(const std::string& process) {
    struct stat own {};
    struct stat its {};
    return ::stat("/proc/self/ns/user", &own) != 0 ||
           (::stat(("/proc/" + process + "/ns/user").c_str(), &its) == 0 && is_same_file(own, its));
}

COHORT_DECL bool has_own_rights(pid_t process) {
    const auto own = rights_of("self");
    if (!own) return true;
    const std::string name = std::to_string(process);
    const auto its = rights_of(name);
    const bool is_same = its && its->users == own->users && its->groups == own->groups;
    if (!is_same || (own->capabilities & ~its->capabilities) != 0) return false;
    return own->capabilities == 0 || is_in_own_user_namespace(name);
}

} // namespace cohort::detail
