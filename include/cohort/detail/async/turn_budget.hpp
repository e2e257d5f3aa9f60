// SPDX-License-Identifier: MIT
// TurnBudget: how long one source of events may keep the event loop before all others have their turn (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/task.hpp>

#include <chrono>

namespace cohort::detail {

/// A source whose next event is here already goes on without the event loop: for ever, if the sender is faster, or if
/// what is done with each event takes long. So every loop over input asks is_over() before it takes an event, and then
/// lets the loop come round first:
///
///     if (turn_.is_over()) co_await turn_.let_others_go_on();
///
/// Time counts and not events, since only the program knows what it does with them. The clock is read for every event
/// where that takes long, and for few of many that do not.
class TurnBudget {
public:
    static constexpr std::chrono::microseconds length{1000};

    /// The loop has come round: this source begins anew.
    void begin() noexcept {
        begun_ = {};
        left_ = stride_;
    }
    /// Counts an event that is about to be taken. Once true, it stays so until begin().
    bool is_over() noexcept { return --left_ == 0 && look(); }
    /// The same, for an event that is known to take long.
    bool is_over_before_long_event() noexcept { return look(); }
    /// Everything else on the loop has its turn, and this source begins anew.
    Task<> let_others_go_on();

private:
    using Clock = std::chrono::steady_clock;

    static constexpr unsigned longest_stride = 16;

    bool look() noexcept;

    Clock::time_point begun_{}; // when the clock was first read in this turn
    Clock::time_point looked_{};
    unsigned stride_ = 4; // events between two looks at the clock
    unsigned left_ = stride_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/turn_budget.ipp>
#endif
