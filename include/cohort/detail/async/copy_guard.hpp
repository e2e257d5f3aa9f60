// SPDX-License-Identifier: MIT
// Keeps copies of this process from its event loop (layer 3).
#pragma once

#include <thread>
#include <vector>

namespace asio {
class io_context;
} // namespace asio

namespace cohort::detail {

/// As long as this lives, a process that the program's own code forks from this one does nothing to this event loop and
/// to what `links` says, up to `most_links` descriptors: there the loop stands still, its run() returns, and when this
/// goes, so does the process. One at a time: the last.
class CopyGuard {
public:
    static constexpr int most_links = 2;
    /// Writes the descriptors, and returns how many.
    using Links = int (*)(int (&links)[most_links]);

    /// The event loop has been used already.
    explicit CopyGuard(asio::io_context& context, Links links = nullptr);
    CopyGuard(const CopyGuard&) = delete;
    CopyGuard& operator=(const CopyGuard&) = delete;
    ~CopyGuard();

private:
    static CopyGuard*& current() noexcept {
        static CopyGuard* guard = nullptr;
        return guard;
    }
    static void on_copy() noexcept;
    void cut_off() noexcept;

    asio::io_context& context_;
    Links links_;
    std::vector<int> of_loop_; // its epoll set, timer and event
    std::thread::id thread_ = std::this_thread::get_id();
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/copy_guard.ipp>
#endif
