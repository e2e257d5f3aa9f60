// SPDX-License-Identifier: MIT
// HoldBudget: how long those who write lines may be held up (layer 1).
#pragma once

#include <algorithm>
#include <chrono>

namespace cohort::detail {

/// Of every second so much at most. Within that a writer that is late catches up and nothing is lost; who waits for a
/// disk that is too slow, or full, hardly notices it.
class HoldBudget {
public:
    using Clock = std::chrono::steady_clock;

    static constexpr std::chrono::milliseconds most{100};
    static constexpr std::chrono::seconds period{1};

    /// How much is left at this time.
    Clock::duration left(Clock::time_point now) noexcept {
        if (now - begun_ >= period) {
            begun_ = now;
            used_ = {};
        }
        return most - used_;
    }
    void use(Clock::duration time) noexcept { used_ = std::min<Clock::duration>(used_ + time, most); }

private:
    Clock::time_point begun_{};
    Clock::duration used_{};
};

} // namespace cohort::detail
