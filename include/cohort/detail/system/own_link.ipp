// SPDX-License-Identifier: MIT
// The bodies of own_link.hpp (layer 2).
#pragma once

#include <cohort/detail/system/own_link.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <utility>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL bool is_mine_or_roots(const struct stat& file) noexcept {
    return file.st_uid == ::geteuid() || file.st_uid == 0;
}

COHORT_DECL UniqueFd own_link_at(const std::string& path) {
    UniqueFd link(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!link || ::fstat(link.get(), &status) != 0 || !S_ISLNK(status.st_mode) || !is_mine_or_roots(status)) return {};
    return link;
}

COHORT_DECL bool stands_for_open_file(const UniqueFd& link) noexcept {
    struct statfs system {};
    return ::fstatfs(link.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

/// Of the very link that was looked at.
COHORT_DECL std::string target_of(const UniqueFd& link, const std::string& path) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = ::readlinkat(link.get(), "", target.data(), target.size());
    target.resize(static_cast<std::size_t>(std::max(size, ssize_t{0})));
    return target.starts_with('/') ? target : path.substr(0, path.rfind('/') + 1) + target;
}

COHORT_DECL UniqueFd open_by_own_links(std::string path, int flags, mode_t mode) {
    constexpr int most_links = 8;
    for (int left = most_links; left >= 0; --left) {
        UniqueFd file(::open(path.c_str(), flags | O_NOFOLLOW, mode));
        if (file || errno != ELOOP) return file;
        const UniqueFd link = own_link_at(path);
        if (!link) break;
        if (stands_for_open_file(link)) return UniqueFd(::open(path.c_str(), flags, mode));
        path = target_of(link, path);
    }
    errno = ELOOP;
    return {};
}

} // namespace cohort::detail
