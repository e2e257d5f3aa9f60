// SPDX-License-Identifier: MIT
// Calling the user's hooks so that what they throw does no harm (layer 4).
#pragma once

#include <cohort/options.hpp>

namespace cohort::detail {

/// Throws std::system_error only: those who start workers know what to do with that.
void call_before_fork(const Hooks& hooks, unsigned slot);

void call_on_exit(const Hooks& hooks, const Event& event);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/hooks.ipp>
#endif
