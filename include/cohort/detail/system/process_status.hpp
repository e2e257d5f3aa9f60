// SPDX-License-Identifier: MIT
// ProcessStatus: what the system tells of a process (layer 2).
#pragma once

#include <string>

#include <sys/types.h>

namespace cohort::detail {

/// /proc/<pid>/status (proc(5)), as it is when this is made. The process must not have been reaped, or its number may
/// be another's.
class ProcessStatus {
public:
    explicit ProcessStatus(pid_t pid);

    /// What stands behind "name:"; empty: the process is gone, or there is no /proc or no such field.
    std::string operator[](const std::string& name) const;
    pid_t number(const std::string& name) const;

private:
    std::string text_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/process_status.ipp>
#endif
