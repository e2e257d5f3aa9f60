// SPDX-License-Identifier: MIT
// ProbePolicy: when a worker's health is checked, and what the answers come to, without a clock (layer 1).
#pragma once

#include <cohort/detail/policy/observed_time.hpp>
#include <cohort/options.hpp>

#include <utility>

namespace cohort::detail {

/// One for each worker. Never two probes at a time: one that does not end when it is cancelled is waited for.
class ProbePolicy {
public:
    enum class Step { nothing, begin, cancel };

    explicit ProbePolicy(const Probe& probe)
        : interval_(probe.interval), timeout_(probe.timeout), most_(probe.failures) {}

    Step look(ObservedTime::Clock::duration elapsed) noexcept {
        since_begin_ += elapsed;
        if (running_) {
            if (cancelled_ || !reached(since_begin_, timeout_)) return Step::nothing;
            cancelled_ = true;
            ++failures_;
            return Step::cancel;
        }
        if (!reached(since_begin_, interval_)) return Step::nothing;
        since_begin_ = since_begin_.zero();
        running_ = true;
        return Step::begin;
    }
    /// The probe under way has ended.
    void on_result(bool healthy) noexcept {
        running_ = false;
        if (std::exchange(cancelled_, false)) return;
        failures_ = healthy ? 0 : failures_ + 1;
    }
    bool is_unhealthy() const noexcept { return failures_ >= most_ && failures_ > 0; }

private:
    std::chrono::milliseconds interval_;
    std::chrono::milliseconds timeout_;
    unsigned most_;
    unsigned failures_ = 0; // in a row
    ObservedTime::Clock::duration since_begin_{0};
    bool running_ = false;
    bool cancelled_ = false;
};

} // namespace cohort::detail
