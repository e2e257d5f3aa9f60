// SPDX-License-Identifier: MIT
// Where the kernel leaves the core file of a process (layer 2).
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

namespace cohort::detail {

/// Where a process ran: what it saw as "/" (empty: what everybody does) and, from there, its working directory.
struct ProcessFolders {
    std::string root{};
    std::string cwd{};
};

/// What /proc/sys/kernel/core_pattern says (core(5)) of a process that this signal has ended: a path, or "| program"
/// that the file is given to, or "@socket". `*` stands for what cannot be known any more.
std::string core_file(std::string_view pattern, bool with_pid, pid_t pid, int signal, const ProcessFolders& folders);

/// The same with the pattern of this system; empty: there is no /proc.
std::string core_file(pid_t pid, int signal, const ProcessFolders& folders);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/core_file.ipp>
#endif
