// SPDX-License-Identifier: MIT
// Terminal: whether a SIGHUP says that the terminal is gone (layer 2).
#pragma once

#include <cohort/detail/system/signals.hpp>

namespace cohort::detail {

/// SIGHUP has two senders: operators, for a reload, and whatever ends with a terminal. That is the kernel, for the
/// process group in its foreground, and shells, for each of their jobs.
class Terminal {
public:
    /// Made while the terminal, if there is one, is still there.
    Terminal();

    bool is_gone(const Signal& hangup) const;

private:
    pid_t leader_;
    pid_t parent_;
    bool was_there_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/terminal.ipp>
#endif
