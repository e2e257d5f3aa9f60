// SPDX-License-Identifier: MIT
// Memory that has a descriptor and can be passed on, and mappings of it (layer 2).
#pragma once

#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace cohort::detail {

/// `size` bytes, all zero, that can be sealed. `name` is what /proc shows. Errors: EMFILE, ENFILE, ENOMEM.
inline UniqueFd make_memfd(const char* name, std::size_t size) {
    UniqueFd memory(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory) throw_last_error("memfd_create");
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) != 0) throw_last_error("ftruncate");
    return memory;
}

/// Forbids what the seals (F_SEAL_SHRINK and others, fcntl(2)) stand for, to everybody and for ever.
/// Errors: EBUSY, a writable mapping exists while F_SEAL_WRITE is wanted; EPERM, sealed against more seals.
inline void seal(int fd, int seals) {
    if (::fcntl(fd, F_ADD_SEALS, seals) != 0) throw_last_error("fcntl(F_ADD_SEALS)");
}

/// Whether all of the seals are there. What is no memory has none.
inline bool has_seals(int fd, int seals) noexcept {
    const int present = ::fcntl(fd, F_GET_SEALS);
    return present >= 0 && (present & seals) == seals;
}

inline std::size_t size_of(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) throw_last_error("fstat");
    return static_cast<std::size_t>(status.st_size);
}

/// Whether a descriptor from somebody else can be mapped, has so many bytes, and keeps them. Reading a mapping of any
/// other ends in SIGBUS as soon as its owner makes it shorter; one of huge pages also when none is free.
inline bool keeps_size(int fd, std::size_t size) {
    struct statfs system {};
    if (::fstatfs(fd, &system) != 0 || system.f_type != TMPFS_MAGIC) return false;
    if ((::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) return false;
    return has_seals(fd, F_SEAL_SHRINK) && size_of(fd) >= size; // in this order: then it cannot change in between
}

/// Sets pages aside, so that no later write fails. In pieces, because a signal undoes the piece under way.
/// Errors: ENOSPC, ENOMEM.
inline void reserve(int fd, std::size_t size) {
    constexpr std::size_t piece = std::size_t{16} << 20;
    for (std::size_t done = 0; done < size;) {
        const std::size_t count = std::min(piece, size - done);
        if (::fallocate(fd, 0, static_cast<off_t>(done), static_cast<off_t>(count)) == 0)
            done += count;
        else if (errno != EINTR)
            throw_last_error("fallocate");
    }
}

/// Fills memory from its beginning. Pages written so are neither cleared before nor mapped, which is half of the cost
/// of filling them by a mapping.
inline void write_all(int fd, std::span<const std::byte> bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (count < 0 && errno != EINTR) throw_last_error("pwrite");
        if (count > 0) done += static_cast<std::size_t>(count);
    }
}

/// Owns a mapping. It does not need the descriptor any more. Moves, never copies.
class Mapping {
public:
    Mapping() = default;
    /// The first `size` bytes, at least one, which the descriptor has and keeps: see keeps_size().
    /// Errors: EPERM, sealed against writing; EACCES, not open for this; ENODEV, cannot be mapped; ENOMEM.
    static Mapping map(int fd, std::size_t size, bool writable) {
        // Before Linux 6.7 what is sealed against writing can be mapped only as private. The pages are the same ones.
        void* const base = writable ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                                    : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (base == MAP_FAILED) throw_last_error("mmap");
        return Mapping({static_cast<std::byte*>(base), size});
    }

    Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    Mapping& operator=(Mapping&& other) noexcept {
        if (this != &other) {
            reset();
            bytes_ = std::exchange(other.bytes_, {});
        }
        return *this;
    }
    ~Mapping() { reset(); }

    /// To be written to only where the mapping is writable.
    std::span<std::byte> bytes() const noexcept { return bytes_; }

    void reset() noexcept {
        if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
        bytes_ = {};
    }

private:
    explicit Mapping(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}

    std::span<std::byte> bytes_;
};

} // namespace cohort::detail
