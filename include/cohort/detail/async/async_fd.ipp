// SPDX-License-Identifier: MIT
// The bodies of async_fd.hpp (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>

#include <cohort/detail/config.hpp>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

namespace cohort::detail {

COHORT_DECL void AsyncFd::close() {
    if (fd_) [[maybe_unused]]
        const int lent = watch_.release();
    fd_.reset();
}

COHORT_DECL AsyncFd::AsyncFd(const asio::any_io_executor& executor, UniqueFd fd)
    : fd_(std::move(fd)), watch_(executor, fd_.get()) {}

COHORT_DECL Task<> AsyncFd::readable(std::error_code& error) {
    return watch_.async_wait(asio::posix::descriptor_base::wait_read, asio::redirect_error(asio::use_awaitable, error));
}

/// The completion handler of a wait: calls the action whatever the outcome.
struct WaitEnd {
    void operator()(std::error_code) const { action(); }

    Action action;
};

COHORT_DECL void AsyncFd::when_readable(Action action) {
    watch_.async_wait(asio::posix::descriptor_base::wait_read, WaitEnd{std::move(action)});
}

COHORT_DECL void AsyncFd::when_writable(Action action) {
    watch_.async_wait(asio::posix::descriptor_base::wait_write, WaitEnd{std::move(action)});
}

COHORT_DECL void AsyncFd::cancel() {
    std::error_code ignored;
    watch_.cancel(ignored);
}

} // namespace cohort::detail
