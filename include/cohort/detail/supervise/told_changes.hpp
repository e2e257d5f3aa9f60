// SPDX-License-Identifier: MIT
// Changes of which a line on standard error says how they went (layer 4).
#pragma once

#include <cohort/task.hpp>

namespace cohort::detail {

class Supervisor;

/// Both are a successor's, once this master has one: then they are passed on to it.
Task<> reload_and_tell(Supervisor& supervisor);
Task<> upgrade_and_tell(Supervisor& supervisor);
/// Says only that it failed.
void scale_and_tell(Supervisor& supervisor, unsigned workers);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/told_changes.ipp>
#endif
