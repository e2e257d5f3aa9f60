// SPDX-License-Identifier: MIT
// UniqueFd: the owner of a descriptor, and the list of all that cohort owns in this process (layer 2).
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace cohort::detail {

/// Which descriptor numbers cohort owns, so that a forked child can close what is not its own.
/// One thread only, as is the master.
class OwnedDescriptors {
public:
    static void add(int fd);
    /// Another process has it, too, and may do with it what it likes.
    static void share(int fd) noexcept {
        if (contains(fd)) instance().owned_[static_cast<std::size_t>(fd)] = shared;
    }
    static void remove(int fd) noexcept {
        if (contains(fd)) instance().owned_[static_cast<std::size_t>(fd)] = none;
    }
    static bool contains(int fd) noexcept { return of(fd) != none; }
    static bool is_shared(int fd) noexcept { return of(fd) == shared; }
    static std::vector<int> all();

private:
    // Never destroyed: descriptors are closed until the very end of the process.
    static OwnedDescriptors& instance() noexcept {
        static auto* const table = new OwnedDescriptors;
        return *table;
    }
    enum Kind : unsigned char { none, alone, shared };

    static Kind of(int fd) noexcept {
        const auto& table = instance().owned_;
        return static_cast<std::size_t>(fd) < table.size() ? table[static_cast<std::size_t>(fd)] : none;
    }

    std::vector<Kind> owned_;
};

/// Closes its descriptor when it goes. Moves, never copies.
class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {
        if (fd_ >= 0) OwnedDescriptors::add(fd_);
    }
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept;
    ~UniqueFd() { reset(); }

    explicit operator bool() const noexcept { return fd_ >= 0; }
    int get() const noexcept { return fd_; }

    /// Another process has it, too: closing it must not wait, whatever that has set (SO_LINGER, socket(7)).
    void share() const noexcept { OwnedDescriptors::share(fd_); }

    /// Hands the descriptor to an owner outside cohort.
    [[nodiscard]] int release() noexcept {
        if (fd_ >= 0) OwnedDescriptors::remove(fd_);
        return std::exchange(fd_, -1);
    }

    void reset() noexcept;

private:
    int fd_ = -1;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/unique_fd.ipp>
#endif
