// SPDX-License-Identifier: MIT
// What ps(1) and top(1) show of a process (layer 2).
#pragma once

#include <span>
#include <string_view>

namespace cohort::detail {

/// `whole` in the place of the command line (proc(5), /proc/pid/cmdline), cut to the room there is; the first 15 bytes
/// of `brief` as the name of the process (prctl(2), PR_SET_NAME). With CAP_SYS_RESOURCE the command line is moved to
/// memory of cohort's, the first time; else the arguments of main() are written over. own_arguments() stays right.
void set_process_title(std::string_view whole, std::string_view brief) noexcept;

/// Writes a command line that ends within the area: the kernel shows it up to its first NUL when the area's last byte
/// is none.
void write_title(std::span<char> area, std::string_view title) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/process_title.ipp>
#endif
