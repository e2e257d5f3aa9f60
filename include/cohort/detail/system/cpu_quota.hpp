// SPDX-License-Identifier: MIT
// How much CPU time the control groups of this process let it have (layer 2).
#pragma once

#include <cohort/detail/system/cgroup.hpp>

#include <optional>
#include <string_view>

namespace cohort::detail {

/// CPUs' worth of time, from "150000 100000", as cpu.max says it. Empty: there is no limit, as of "max 100000".
std::optional<double> cpus_of(std::string_view quota);

/// The least that the groups of this process have, from its own up to the root. A container may not see the path by
/// which the kernel names its group, but the group itself as the root of the tree: levels that are not there are passed
/// over.
std::optional<double> cpu_quota(const CgroupPlace& place = {});

/// For how many processes that compute there is room: usable_cpus() and cpu_quota(), rounded up, at least 1.
unsigned cpus_to_fill(const CgroupPlace& place = {});

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/cpu_quota.ipp>
#endif
