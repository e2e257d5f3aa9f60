// SPDX-License-Identifier: MIT
// A copy of this process that the program's own code has forked (layer 2).
#pragma once

#include <cohort/detail/config.hpp>

#include <span>

namespace cohort::detail {

/// This process was forked, not by cohort, from a worker or from what run() runs: nothing that it has from there is its
/// own. It may do what it likes and end; it must not come back.
extern bool is_forked_copy;

/// Set while cohort itself forks: that process becomes a worker or another program.
extern bool forks_itself;

/// Puts something that is closed on the other side in the place of each of these links, and of what still is of an
/// event loop: that is shared with the parent, and what is removed or set here is there, too. Their numbers stay taken,
/// or the next file that the copy opens would get what is meant for them.
void cut_off_from_parent(std::span<const int> links, std::span<const int> of_loop) noexcept;

/// The copy has come back to the library, as by an exception after an exec(3) that failed: its parent goes on with
/// whatever it was about. Ends it, with code 1 and a line that says so.
[[noreturn]] void end_forked_copy() noexcept;

inline void end_if_forked_copy() noexcept {
    if (is_forked_copy) end_forked_copy();
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/forked_copy.ipp>
#endif
