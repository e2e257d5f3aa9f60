// SPDX-License-Identifier: MIT
// The bodies of folder_walk.hpp (layer 2).
#pragma once

#include <cohort/http/detail/respond/folder_walk.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace cohort::http::detail {

COHORT_DECL int FolderWalk::open(std::string_view path) {
    push(path);
    while (!ahead_.empty()) {
        const std::string name = std::move(ahead_.back());
        ahead_.pop_back();
        if (name.empty() || name == ".") continue;
        if (name == "..") {
            errno = EXDEV;
            if (way_.empty()) return -1;
            way_.pop_back();
            continue;
        }
        cohort::detail::UniqueFd found(::openat(top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        struct stat facts {};
        if (!found || ::fstat(found.get(), &facts) != 0) return -1;
        if (S_ISDIR(facts.st_mode)) {
            way_.push_back(std::move(found));
        } else if (!S_ISLNK(facts.st_mode)) {
            errno = ENOTDIR;
            return ahead_.empty() ? open_last(name) : -1;
        } else if (!follow(found.get())) {
            return -1;
        }
    }
    return open_last(".");
}

COHORT_DECL int FolderWalk::open_last(const std::string& name) const noexcept {
    return ::openat(top(), name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
}

COHORT_DECL void FolderWalk::push(std::string_view path) {
    const auto begin = static_cast<std::ptrdiff_t>(ahead_.size());
    for (std::size_t end = path.find('/'); end != path.npos; end = path.find('/')) {
        ahead_.emplace_back(path.substr(0, end));
        path.remove_prefix(end + 1);
    }
    ahead_.emplace_back(path); // empty behind a slash at the end: what is before it has to be a folder
    std::reverse(ahead_.begin() + begin, ahead_.end());
}

COHORT_DECL bool FolderWalk::follow(int link) {
    char bytes[PATH_MAX];
    const ssize_t size = ::readlinkat(link, "", bytes, sizeof bytes);
    if (size < 0) return false;
    const std::string target(bytes, static_cast<std::size_t>(size));
    errno = ELOOP;
    if (++links_ > most_links) return false;
    if (!target.starts_with('/')) return push(target), true;
    const auto rest = beneath(target);
    errno = EXDEV;
    if (!rest) return false;
    way_.clear();
    push(*rest);
    return true;
}

/// What an absolute name is from the folder on, by whichever name it calls the folder; nothing when it leads elsewhere.
COHORT_DECL std::optional<std::string> FolderWalk::beneath(const std::string& target) const {
    for (std::size_t end = 0;; end = target.find('/', end + 1)) {
        const bool is_whole = end == target.npos;
        const std::string above = end == 0 ? "/" : target.substr(0, end);
        struct stat facts {};
        if (::stat(above.c_str(), &facts) != 0) return std::nullopt;
        if (facts.st_dev == facts_.st_dev && facts.st_ino == facts_.st_ino)
            return is_whole ? std::string() : target.substr(end + 1);
        if (is_whole) return std::nullopt;
    }
}

} // namespace cohort::http::detail
