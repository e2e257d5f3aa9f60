// SPDX-License-Identifier: MIT
// LivenessPolicy: whether a worker's event loop turns, as a state machine without clock or process (layer 1).
#pragma once

#include <cohort/detail/policy/observed_time.hpp>
#include <cohort/options.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

namespace cohort::detail {

/// One for each worker.
class LivenessPolicy {
public:
    using Duration = ObservedTime::Clock::duration;

    enum class Finding {
        nothing,   ///< nothing new
        slow,      ///< no heartbeat for a while
        recovered, ///< was slow, has a heartbeat again
        stuck,     ///< it is to be aborted
        dead,      ///< it was aborted and is still there: it is to be killed
    };

    explicit LivenessPolicy(const Liveness& limits) : limits_(limits) {}

    /// Whether look() would have the worker ended.
    bool would_end(std::uint64_t beats, Duration elapsed) const noexcept {
        if (aborted_) return reached(silent_ + elapsed, limits_.kill_after);
        return beats == beats_ && reached(silent_ + elapsed, limits_.timeout);
    }
    /// Its silence so far is none of its own.
    void excuse() noexcept { silent_ = Duration{0}; }

    /// `beats`: the worker's counter now; `elapsed`: since the look before.
    Finding look(std::uint64_t beats, Duration elapsed) noexcept {
        if (aborted_) {
            silent_ += elapsed;
            return reached(silent_, limits_.kill_after) ? Finding::dead : Finding::nothing;
        }
        if (beats != beats_) {
            beats_ = beats;
            silent_ = Duration{0};
            return std::exchange(slow_, false) ? Finding::recovered : Finding::nothing;
        }
        silent_ += elapsed;
        if (reached(silent_, limits_.timeout)) {
            aborted_ = true;
            silent_ = Duration{0};
            return Finding::stuck;
        }
        return !slow_ && reached(silent_, limits_.slow_after) ? (slow_ = true, Finding::slow) : Finding::nothing;
    }

private:
    Liveness limits_;
    std::uint64_t beats_ = 0;
    Duration silent_{0}; // since the last beat; once it is aborted, since then
    bool slow_ = false;
    bool aborted_ = false;
};

/// In milliseconds, as a worker is told it.
inline std::uint32_t beat_interval(const Liveness& limits) noexcept {
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(limits.interval.count(), 0, most));
}

} // namespace cohort::detail
