// SPDX-License-Identifier: MIT
// Control groups with limits of their own for the workers of a slot (layer 2).
#pragma once

#include <cohort/detail/system/cgroup.hpp>
#include <cohort/detail/system/process_setup.hpp>
#include <cohort/worker_options.hpp>

#include <optional>
#include <string>

namespace cohort::detail {

/// A group beneath this process's own, with these limits, for the workers of a slot; the one that is there gets them,
/// too. If controllers have to be passed on for it, this process moves into a group beside it first, as the kernel
/// demands ("no internal processes"). Returns its folder. Throws std::system_error, with the file that is missing or
/// refused.
std::string make_slot_cgroup(unsigned slot, const CgroupLimits& limits, const CgroupPlace& place = {});

/// In the child.
std::optional<SetupError> enter_cgroup(const std::string& folder) noexcept;

/// Unless processes are left in it. Nothing, if this process has made none for that slot.
void remove_slot_cgroup(unsigned slot) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/slot_cgroup.ipp>
#endif
