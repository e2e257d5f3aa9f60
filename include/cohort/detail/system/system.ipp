// SPDX-License-Identifier: MIT
// The bodies of system.hpp (layer 2).
#pragma once

#include <cohort/detail/system/system.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/error.hpp>

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/syscall.h>

namespace cohort::detail {

COHORT_DECL int System::open_beneath(int folder, const char* path) noexcept {
    open_how how{};
    how.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
}

COHORT_DECL int System::pidfd_open(pid_t pid) noexcept {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    // Filters (seccomp) and emulators may know the one and not the other.
    if (fd < 0 || ::syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0) == 0) return fd;
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
}

COHORT_DECL System*& System::installed() noexcept {
    static System kernel;
    static System* current = &kernel;
    return current;
}

COHORT_DECL std::error_code last_error() noexcept { return {errno, std::system_category()}; }

COHORT_DECL void throw_last_error(const char* what) { throw std::system_error(last_error(), what); }

COHORT_DECL bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

COHORT_DECL bool is_same_file(const struct stat& a, const struct stat& b) noexcept {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

COHORT_DECL UniqueFd duplicate(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw_last_error("dup");
    return copy;
}

COHORT_DECL bool can_open(rlim_t count) noexcept {
    const int next = ::eventfd(0, EFD_CLOEXEC);
    if (next < 0) return false;
    ::close(next);
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && static_cast<rlim_t>(next) + count <= limit.rlim_cur;
}

COHORT_DECL std::size_t share_of_descriptors() noexcept {
    constexpr rlim_t least = 16;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return least;
    return static_cast<std::size_t>(std::max(limit.rlim_cur / 8, least));
}

COHORT_DECL std::error_code may_cause_more(std::size_t count) noexcept {
    constexpr std::size_t to_begin = 8;
    const std::size_t share = share_of_descriptors();
    if (count >= share) return Errc::too_many;
    if (count >= to_begin && !can_open(2 * share)) return {EMFILE, std::system_category()};
    return {};
}

COHORT_DECL bool is_kernel_limit(int error) noexcept {
    return error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM;
}

} // namespace cohort::detail
