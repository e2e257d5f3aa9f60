// SPDX-License-Identifier: MIT
// AsyncFd: a descriptor of ours that the event loop watches (layer 3).
#pragma once

#include <cohort/detail/async/action.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <system_error>
#include <utility>

namespace cohort::detail {

/// Owns the descriptor itself and lends it to Asio, so that it is removed from the epoll set before it is closed:
/// another process may hold a copy, and the kernel removes it by itself only once all copies are closed.
class AsyncFd {
public:
    AsyncFd(const asio::any_io_executor& executor, UniqueFd fd);
    AsyncFd(AsyncFd&&) = default;
    ~AsyncFd() { close(); }

    int get() const noexcept { return fd_.get(); }
    bool is_open() const noexcept { return static_cast<bool>(fd_); }
    auto get_executor() noexcept { return watch_.get_executor(); }

    /// Waits until a read would not block. Nothing is read, so a cancelled wait loses nothing. `error`:
    /// operation_aborted when it was cancelled.
    Task<> readable(std::error_code& error);
    /// Calls `action` when a read, or a write, would not block, and also when the wait was cancelled.
    void when_readable(Action action);
    void when_writable(Action action);

    /// Waits under way, in both directions, end with operation_aborted.
    void cancel();
    void close();

private:
    UniqueFd fd_;
    asio::posix::stream_descriptor watch_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/async_fd.ipp>
#endif
