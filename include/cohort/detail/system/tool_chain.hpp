// SPDX-License-Identifier: MIT
// What the tool chain wants to do at the end of a process that does not end by exit(3) (layer 2).
#pragma once

namespace cohort::detail {

/// A worker ends by _exit(2), so that nothing of its parent's copy is destroyed; the tool chain's exit handlers do not
/// run then. Has LeakSanitizer look for leaks, and gcov or llvm-profdata's counts written, if the program was built
/// with them; the code that the process is to end with: LeakSanitizer's 23 instead of 0 when it has found some.
int end_of_tool_chain(int code) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/tool_chain.ipp>
#endif
