// SPDX-License-Identifier: MIT
// The bodies of tool_chain.hpp (layer 2).
#pragma once

#include <cohort/detail/system/tool_chain.hpp>

#include <cohort/detail/config.hpp>

#include <sys/prctl.h>

// Null where the program was not built with the tool: sanitizer/lsan_interface.h, gcov(1), LLVM's InstrProfiling.h.
extern "C" {
[[gnu::weak]] int __lsan_do_recoverable_leak_check();
[[gnu::weak]] void __gcov_dump();
[[gnu::weak]] int __llvm_profile_write_file();
}

namespace cohort::detail {

COHORT_DECL int end_of_tool_chain(int code) noexcept {
    if (__gcov_dump != nullptr) __gcov_dump();
    if (__llvm_profile_write_file != nullptr) __llvm_profile_write_file();
    // It stops the threads by ptrace(2), which a process that gave up its user, or is not to be dumped, does not
    // permit.
    if (__lsan_do_recoverable_leak_check == nullptr || ::prctl(PR_GET_DUMPABLE) != 1) return code;
    // The SIGCONT of a master's death (die_with_parent) would undo the SIGSTOP with which the check begins, and it
    // would wait for ever.
    ::prctl(PR_SET_PDEATHSIG, 0);
    return __lsan_do_recoverable_leak_check() != 0 && code == 0 ? 23 : code;
}

} // namespace cohort::detail
