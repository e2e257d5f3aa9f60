// SPDX-License-Identifier: MIT
// The bodies of debugger.hpp (layer 2).
#pragma once

#include <cohort/detail/system/debugger.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/process_status.hpp>

namespace cohort::detail {

COHORT_DECL bool is_descendant(pid_t process, pid_t of) {
    for (int left = 64; left > 0 && process > 1; --left) {
        if (process == of) return true;
        process = ProcessStatus(process).number("PPid");
    }
    return false;
}

COHORT_DECL pid_t debugger_of(pid_t pid) {
    const pid_t debugger = ProcessStatus(pid).number("TracerPid");
    return debugger != 0 && is_descendant(debugger, pid) ? 0 : debugger;
}

} // namespace cohort::detail
