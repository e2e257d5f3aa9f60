// SPDX-License-Identifier: MIT
// Where a process is in the trees of control groups: cgroups(7) (layer 2).
#pragma once

#include <string>
#include <string_view>

namespace cohort::detail {

/// Where to look; tests have a tree of their own.
struct CgroupPlace {
    std::string mount = "/sys/fs/cgroup";
    std::string membership = "/proc/self/cgroup";
};

/// The path of a process in the hierarchy of version 2 ("0::/path"), or in that of this controller of version 1
/// ("4:cpu,cpuacct:/path"), from the text of /proc/pid/cgroup. Empty: it is in none.
std::string cgroup_path(std::string_view membership, std::string_view controller = {});

/// Of a small file of the kernel's; empty: it is not there.
std::string text_of(const std::string& path);

/// Whether a list has this word.
bool has_word(std::string_view list, std::string_view word, std::string_view separators);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/cgroup.ipp>
#endif
