// SPDX-License-Identifier: MIT
// RecyclePolicy: whether a worker is due for replacement, as a state machine without clock or process (layer 1).
#pragma once

#include <cohort/detail/policy/observed_time.hpp>
#include <cohort/options.hpp>

#include <algorithm>
#include <cstdint>

namespace cohort::detail {

/// One for each worker.
class RecyclePolicy {
public:
    /// `chance`: a random number from 0 to 1.
    RecyclePolicy(const Recycle& limits, double chance) : limits_(limits) {
        const double cut = std::clamp(limits.jitter, 0.0, 1.0) * chance;
        const auto shortened = [cut](auto number) {
            return number - std::min(static_cast<decltype(number)>(static_cast<double>(number) * cut), number - 1);
        };
        if (limits.requests > 0) limits_.requests = shortened(limits.requests);
        if (limits.age.count() > 0) limits_.age = std::chrono::milliseconds(shortened(limits.age.count()));
    }

    /// Those of this worker.
    const Recycle& limits() const noexcept { return limits_; }

    static bool is_wanted(const Recycle& limits) noexcept {
        return limits.requests > 0 || limits.age.count() > 0 || limits.memory > 0;
    }

    /// What the worker has come to.
    struct Seen {
        std::uint64_t requests = 0;
        ObservedTime::Clock::duration age{};
        std::uint64_t memory = 0;
    };
    bool is_due(const Seen& seen) const noexcept {
        return (limits_.requests > 0 && seen.requests >= limits_.requests) ||
               (limits_.age.count() > 0 && reached(seen.age, limits_.age)) ||
               (limits_.memory > 0 && seen.memory >= limits_.memory);
    }

private:
    Recycle limits_;
};

/// When to try again to replace a worker after its successor was not ready: later and later.
class ReplacementWait {
public:
    explicit ReplacementWait(const Backoff& backoff) : first_(backoff.first), longest_(backoff.longest) {}

    void on_failure() noexcept {
        wait_ = wait_.count() == 0 ? first_ : doubled(wait_, longest_);
        waited_ = waited_.zero();
    }
    /// Whether it may be tried now.
    bool look(ObservedTime::Clock::duration elapsed) noexcept {
        waited_ += elapsed;
        return reached(waited_, wait_);
    }

private:
    std::chrono::milliseconds first_;
    std::chrono::milliseconds longest_;
    std::chrono::milliseconds wait_{0};
    ObservedTime::Clock::duration waited_{0};
};

} // namespace cohort::detail
