// SPDX-License-Identifier: MIT
// The bodies of socket_file.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/socket_file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/system/system.hpp>

#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include <fcntl.h>

namespace cohort::detail {

COHORT_DECL void SocketFile::remove() noexcept {
    struct stat now {};
    const bool is_ours = !path_.empty() && ::getpid() == process_ && ::lstat(path_.c_str(), &now) == 0;
    if (is_ours && is_same_file(now, file_)) ::unlink(path_.c_str());
    path_.clear();
}

COHORT_DECL PathLock::PathLock(const std::string& path) : name_(path + ".lock") {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (std::chrono::steady_clock::now() < deadline) {
        UniqueFd file(::open(name_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        struct stat opened {};
        if (!file || ::fstat(file.get(), &opened) != 0 || opened.st_uid != ::geteuid()) return;
        if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
            if (!would_block(errno)) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            continue;
        }
        struct stat named {};
        const bool is_current = ::lstat(name_.c_str(), &named) == 0 && is_same_file(opened, named);
        if (!is_current) continue; // the one before has removed it
        lock_ = std::move(file);
        return;
    }
}

COHORT_DECL bool is_stale(int file) {
    constexpr int looks = 5;
    std::error_code error;
    const auto address = unix_address("/proc/self/fd/" + std::to_string(file), error);
    for (int look = 0; look < looks; ++look) {
        if (look != 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!probe || ::connect(probe.get(), address.get(), address.size) == 0 || errno != ECONNREFUSED) return false;
    }
    return true;
}

COHORT_DECL bool remove_stale_file(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)); // keeps its inode number from reuse
    if (!file) return errno == ENOENT;
    struct stat probed {};
    if (::fstat(file.get(), &probed) != 0 || !S_ISSOCK(probed.st_mode) || !is_stale(file.get())) return false;
    const std::string aside = path + "-" + std::to_string(::getpid());
    if (::rename(path.c_str(), aside.c_str()) != 0) return errno == ENOENT;
    struct stat moved {};
    const bool is_it = ::lstat(aside.c_str(), &moved) == 0 && is_same_file(moved, probed);
    if (is_it || ::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
        ::unlink(aside.c_str());
    return is_it;
}

} // namespace cohort::detail
