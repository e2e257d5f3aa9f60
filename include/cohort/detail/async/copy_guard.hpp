// SPDX-License-Identifier: MIT
// Keeps copies of this process from its event loop (layer 3).
#pragma once

namespace asio {
class io_context;
} // namespace asio

namespace cohort::detail {

/// From now on a process that the program's own code forks from this one does nothing to this event loop and to what
/// `links` says, up to `most_links` descriptors: there the loop stands still, and run() returns. One event loop for
/// each process: the last one.
class CopyGuard {
public:
    static constexpr int most_links = 2;
    /// Writes the descriptors, and returns how many.
    using Links = int (*)(int (&links)[most_links]);

    static void protect(asio::io_context& context, Links links = nullptr);
    /// There is no such event loop any more.
    static void release() noexcept { context() = nullptr; }

private:
    static asio::io_context*& context() noexcept {
        static asio::io_context* protected_one = nullptr;
        return protected_one;
    }
    static Links& links() noexcept {
        static Links of_it = nullptr;
        return of_it;
    }
    static void on_copy() noexcept;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/copy_guard.ipp>
#endif
