// SPDX-License-Identifier: MIT
// Which options Settings change (layer 1).
#pragma once

#include <cohort/options.hpp>

namespace cohort::detail {

/// Changes what is set, and touches nothing else: functions among the options may be running.
void apply(const Settings& settings, Options& options);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/policy/settings.ipp>
#endif
