// SPDX-License-Identifier: MIT
// Whether another process has the rights of this one: credentials(7), capabilities(7), proc(5) (layer 2).
#pragma once

#include <sys/types.h>

namespace cohort::detail {

/// The same user and groups, in the same user namespace, and no capability less. True where there is no /proc; false
/// for a process that is gone.
bool has_own_rights(pid_t process);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/rights.ipp>
#endif
