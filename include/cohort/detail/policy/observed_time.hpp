// SPDX-License-Identifier: MIT
// ObservedTime: elapsed time, capped from one look to the next (layer 1).
#pragma once

#include <algorithm>
#include <chrono>

namespace cohort::detail {

/// For deadlines of other processes, which must not expire because the watching process was stopped, or the machine
/// suspended: between two looks at most `most` passes, however late the second one is.
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

/// The next wait of ever longer ones; without overflow, too.
constexpr std::chrono::milliseconds doubled(std::chrono::milliseconds time,
                                            std::chrono::milliseconds longest) noexcept {
    return time < longest / 2 ? 2 * time : longest;
}

/// Whether `time` has reached the limit, without overflow for any limit that a program may choose.
constexpr bool reached(std::chrono::steady_clock::duration time, std::chrono::milliseconds limit) noexcept {
    return std::chrono::floor<std::chrono::milliseconds>(time) >= limit;
}

} // namespace cohort::detail
