// SPDX-License-Identifier: MIT
// The body of rights.hpp (layer 2).
#pragma once

#include <cohort/detail/system/rights.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/process_status.hpp>
#include <cohort/detail/system/system.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

/// user_namespaces(7). The file is the better witness, but who may not trace the process cannot see it: one that is not
/// dumpable, as programs with capabilities of their file are (proc(5)). The map only its privileged parent can write.
COHORT_DECL bool is_in_own_user_namespace(pid_t process) {
    struct stat own {};
    struct stat its {};
    const std::string folder = "/proc/" + std::to_string(process);
    if (::stat("/proc/self/ns/user", &own) != 0) return true;
    if (::stat((folder + "/ns/user").c_str(), &its) == 0) return is_same_file(own, its);
    const auto map_of = [](const std::string& name) {
        std::ifstream file(name + "/uid_map");
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    const std::string map = map_of(folder);
    return !map.empty() && map == map_of("/proc/self");
}

COHORT_DECL bool has_own_rights(pid_t process) {
    const ProcessStatus own(::getpid());
    const ProcessStatus its(process);
    if (own["Uid"].empty()) return true;
    for (const char* same : {"Uid", "Gid", "Groups"})
        if (own[same] != its[same]) return false;
    const auto capabilities_of = [](const ProcessStatus& status) {
        return std::strtoull(status["CapEff"].c_str(), nullptr, 16);
    };
    if ((capabilities_of(own) & ~capabilities_of(its)) != 0) return false;
    return capabilities_of(own) == 0 || is_in_own_user_namespace(process);
}

} // namespace cohort::detail
