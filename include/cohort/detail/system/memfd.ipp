// SPDX-License-Identifier: MIT
// The bodies of memfd.hpp (layer 2).
#pragma once

#include <cohort/detail/system/memfd.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

/// As ftruncate(2), but what RLIMIT_FSIZE does not allow is an error and not the end of the process in silence, by
/// SIGXFSZ.
COHORT_DECL int set_size(int fd, std::size_t size) noexcept {
    sigset_t file_too_large;
    sigset_t previous;
    ::sigemptyset(&file_too_large);
    ::sigaddset(&file_too_large, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &file_too_large, &previous);
    const int result = ::ftruncate(fd, static_cast<off_t>(size));
    const int error = errno;
    const timespec at_once{};
    if (result != 0 && error == EFBIG) ::sigtimedwait(&file_too_large, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    errno = error;
    return result;
}

COHORT_DECL UniqueFd make_memfd(const char* name, std::size_t size) {
    UniqueFd memory(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory) throw_last_error("memfd_create");
    if (set_size(memory.get(), size) == 0) return memory;
    if (errno == EFBIG) throw_last_error("shared memory, RLIMIT_FSIZE (ulimit -f)");
    throw_last_error("ftruncate");
}

COHORT_DECL void seal(int fd, int seals) {
    if (::fcntl(fd, F_ADD_SEALS, seals) != 0) throw_last_error("fcntl(F_ADD_SEALS)");
}

COHORT_DECL bool has_seals(int fd, int seals) noexcept {
    const int present = ::fcntl(fd, F_GET_SEALS);
    return present >= 0 && (present & seals) == seals;
}

COHORT_DECL std::size_t size_of(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) throw_last_error("fstat");
    return static_cast<std::size_t>(status.st_size);
}

COHORT_DECL bool keeps_size(int fd, std::size_t size) {
    if (!has_seals(fd, F_SEAL_SHRINK)) return false; // first: of other files the rest may wait for who serves them
    struct statfs system {};
    if (::fstatfs(fd, &system) != 0 || system.f_type != TMPFS_MAGIC) return false;
    if ((::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) return false;
    return size_of(fd) >= size; // behind the seals: then it cannot change in between
}

COHORT_DECL void reserve(int fd, std::size_t size) {
    constexpr std::size_t piece = std::size_t{16} << 20;
    for (std::size_t done = 0; done < size;) {
        const std::size_t count = std::min(piece, size - done);
        if (::fallocate(fd, 0, static_cast<off_t>(done), static_cast<off_t>(count)) == 0)
            done += count;
        else if (errno != EINTR)
            throw_last_error("fallocate");
    }
}

COHORT_DECL void write_all(int fd, std::span<const std::byte> bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (count < 0 && errno != EINTR) throw_last_error("pwrite");
        if (count > 0) done += static_cast<std::size_t>(count);
    }
}

COHORT_DECL Mapping Mapping::map(int fd, std::size_t size, bool writable) {
    // Before Linux 6.7 what is sealed against writing can be mapped only as private. The pages are the same ones.
    void* const base = writable ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                                : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED) throw_last_error("mmap");
    return Mapping({static_cast<std::byte*>(base), size});
}

COHORT_DECL Mapping& Mapping::operator=(Mapping&& other) noexcept {
    if (this != &other) {
        reset();
        bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
}

} // namespace cohort::detail
