// SPDX-License-Identifier: MIT
// ObservedTime: time as far as somebody was there to see it (layer 1).
#pragma once

#include <algorithm>
#include <chrono>

namespace cohort::detail {

/// For deadlines that the others must not miss because the one who watches them was stopped, or the whole machine
/// asleep: between two looks passes at most `most`, however late the second one comes.
class ObservedTime {
public:
    using Clock = std::chrono::steady_clock;

    explicit ObservedTime(Clock::duration most) : most_(most) {}

    void start(Clock::time_point now) noexcept { last_ = now; }
    /// How much of it has passed since the last look, or the start.
    Clock::duration look(Clock::time_point now) noexcept {
        const auto passed = std::clamp(now - last_, Clock::duration{0}, most_);
        last_ = now;
        return passed;
    }

private:
    Clock::duration most_;
    Clock::time_point last_{};
};

/// Whether so much time is as much as the limit: any of those that a program may choose, also the longest there is.
constexpr bool reached(std::chrono::steady_clock::duration time, std::chrono::milliseconds limit) noexcept {
    return std::chrono::floor<std::chrono::milliseconds>(time) >= limit;
}

} // namespace cohort::detail
