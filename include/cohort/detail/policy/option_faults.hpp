// SPDX-License-Identifier: MIT
// Options that contradict themselves, or ask for what cannot be (layer 1).
#pragma once

#include <cohort/options.hpp>

#include <string>

namespace cohort::detail {

/// What is wrong with them, in a sentence; empty: nothing.
std::string option_fault(const Options& options);

/// Throws EINVAL, as std::system_error, with that sentence.
void refuse_contradictions(const Options& options);

/// The options, checked in this way.
Options consistent(Options options);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/policy/option_faults.ipp>
#endif
