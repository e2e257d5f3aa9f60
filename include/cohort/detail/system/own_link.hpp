// SPDX-License-Identifier: MIT
// Opening a file where others may have put a symbolic link (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <string>

#include <sys/stat.h>

namespace cohort::detail {

bool is_mine_or_roots(const struct stat& file) noexcept;

/// open(2), which follows the link that a path ends in only if it is root's or this user's: whoever else may write in
/// its folder, as a worker with fewer rights, must not choose what this process opens. The folders on the way are
/// trusted. Those links of proc(5) that stand for open files, as /dev/stdout leads to one, are followed, too. Empty:
/// errno says why; ELOOP: the link is another's.
UniqueFd open_by_own_links(std::string path, int flags, mode_t mode = 0);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/own_link.ipp>
#endif
