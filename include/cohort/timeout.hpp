// SPDX-License-Identifier: MIT
// Timeout: how long something may take (layer 1).
#pragma once

#include <chrono>

namespace cohort {

/// How long to wait at most: any duration, of which one that std::chrono::steady_clock cannot count, as
/// std::chrono::milliseconds::max(), means without end. That is what Timeout() is. A negative one is over at once.
class Timeout {
public:
    using Clock = std::chrono::steady_clock;

    constexpr Timeout() noexcept = default;
    template <class Rep, class Period>
    constexpr Timeout(std::chrono::duration<Rep, Period> time) noexcept {
        using Seconds = std::chrono::duration<double>; // counts every duration, though not exactly
        if (Seconds(time) < Seconds::zero())
            duration_ = Clock::duration::zero();
        else if (Seconds(time) < Seconds(Clock::duration::max()))
            duration_ = std::chrono::duration_cast<Clock::duration>(time);
    }

    constexpr Clock::duration duration() const noexcept { return duration_; }
    /// When it is over: Clock::time_point::max() if never.
    Clock::time_point deadline(Clock::time_point now = Clock::now()) const noexcept {
        const auto end = Clock::time_point::max();
        return duration_ < end - now ? now + duration_ : end;
    }

private:
    Clock::duration duration_ = Clock::duration::max();
};

} // namespace cohort
