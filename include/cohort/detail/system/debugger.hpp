// SPDX-License-Identifier: MIT
// Who debugs a process (layer 2).
#pragma once

#include <sys/types.h>

namespace cohort::detail {

/// The process that traces this one (ptrace(2)); 0: none, or the system does not tell. A process cannot excuse itself
/// by a child of its own that traces it: that is none; one that has left its family, by a parent that has ended, is
/// believed. The process must not have been reaped, or its number may be
/// another's.
pid_t debugger_of(pid_t pid);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/debugger.ipp>
#endif
