// SPDX-License-Identifier: MIT
// Memory that has a descriptor and can be passed on, and mappings of it (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <cstddef>
#include <span>
#include <utility>

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>

namespace cohort::detail {

/// `size` bytes, all zero, that can be sealed. `name` is what /proc shows. Errors: EMFILE, ENFILE, ENOMEM;
/// EFBIG: more than RLIMIT_FSIZE, which concerns memory of this kind too.
UniqueFd make_memfd(const char* name, std::size_t size);

/// Forbids what the seals (F_SEAL_SHRINK and others, fcntl(2)) stand for, to everybody and for ever.
/// Errors: EBUSY, a writable mapping exists while F_SEAL_WRITE is wanted; EPERM, sealed against more seals.
void seal(int fd, int seals);

/// Whether all of the seals are there. A descriptor that cannot be sealed has none.
bool has_seals(int fd, int seals) noexcept;

std::size_t size_of(int fd);

/// Whether a descriptor from another process can be mapped, has at least `size` bytes, and cannot shrink. Reading a
/// mapping of any other raises SIGBUS once its owner truncates it; one of huge pages also when none is free.
bool keeps_size(int fd, std::size_t size);

/// Sets pages aside, so that no later write fails. In pieces, because a signal undoes the piece under way.
/// Errors: ENOSPC, ENOMEM.
void reserve(int fd, std::size_t size);

/// Fills memory from its beginning. Pages written so are neither cleared before nor mapped, which is half of the cost
/// of filling them by a mapping.
void write_all(int fd, std::span<const std::byte> bytes);

/// Owns a mapping. It does not need the descriptor any more. Moves, never copies.
class Mapping {
public:
    Mapping() = default;
    /// The first `size` bytes, at least one, which the descriptor has and keeps: see keeps_size().
    /// Errors: EPERM, sealed against writing; EACCES, not open for this; ENODEV, cannot be mapped; ENOMEM.
    static Mapping map(int fd, std::size_t size, bool writable);

    Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    Mapping& operator=(Mapping&& other) noexcept;
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

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/memfd.ipp>
#endif
