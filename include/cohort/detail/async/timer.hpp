// SPDX-License-Identifier: MIT
// Timer: calls an action later, unless it is destroyed before (layer 3).
#pragma once

#include <cohort/detail/async/action.hpp>
#include <cohort/timeout.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <memory>

namespace cohort::detail {

/// Calls one action at a time, on the executor's event loop, when the time expires, unless the timer was cancelled, set
/// again or destroyed before. So the action may use the object that the timer is a member of. What the action owns is
/// released after the call, or soon after it is clear that there will be none.
class Timer {
public:
    using Clock = std::chrono::steady_clock;

    explicit Timer(const asio::any_io_executor& executor);
    Timer(Timer&&) noexcept = default;
    Timer& operator=(Timer&&) = delete;
    ~Timer();

    void expire_at(Clock::time_point time, Action action);
    void expire_after(Timeout time, Action action);
    /// The action will not be called.
    void cancel() noexcept;
    /// It is set, and has not expired yet.
    bool is_set() const noexcept;

private:
    struct State;
    struct Expiry;

    std::shared_ptr<State> state_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/timer.ipp>
#endif
