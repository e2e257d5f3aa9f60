// SPDX-License-Identifier: MIT
// RestartPolicy: whether a slot gets a new worker, and when, as a state machine without clock or process (layer 1).
#pragma once

#include <cohort/detail/policy/observed_time.hpp>
#include <cohort/exit_status.hpp>
#include <cohort/options.hpp>

#include <algorithm>
#include <chrono>
#include <list>
#include <optional>

namespace cohort::detail {

/// One for each slot. It is told of every exit and answers with how long to wait before the successor is started.
class RestartPolicy {
public:
    using milliseconds = std::chrono::milliseconds;
    using Clock = std::chrono::steady_clock;

    explicit RestartPolicy(Restart restart, const Backoff& backoff = {}) : restart_(restart), backoff_(backoff) {}

    /// How a worker ended.
    struct End {
        ExitStatus status;
        bool voluntary = false; ///< it was asked to leave, or had said that it would
        bool listened = false;  ///< it had come as far as listening: this was no failed start
        milliseconds lived{};
        Clock::time_point when{};
        double chance = 0; ///< a random number from 0 to 1
        /// It was killed because it took too long to become ready: a failed start, however long it lived.
        bool not_ready = false;
        /// It says that a signal had told it to leave. Success is then no failure, and its work is not done either;
        /// what else it ends with counts as ever.
        bool to_be_replaced = false;
    };

    /// Empty: the slot stays empty.
    std::optional<milliseconds> on_exit(const End& end) {
        const bool short_life = end.lived < backoff_.stable || end.not_ready;
        const bool failed_start = short_life && !end.listened && !end.status.success();
        short_lives_ = short_life ? short_lives_ + 1 : 0;
        failed_starts_ = failed_start || end.not_ready ? failed_starts_ + 1 : 0;
        if (end.voluntary || restart_ == Restart::temporary) return std::nullopt;
        const bool was_replaced = end.to_be_replaced && end.status.success();
        if (restart_ == Restart::transient && end.status.success() && !was_replaced) return std::nullopt;
        given_up_ = given_up_ || failed_starts_ >= backoff_.failed_starts || (!was_replaced && is_too_often(end.when));
        if (given_up_) return std::nullopt;
        return wait(end.chance);
    }

    /// From the next end on.
    void set(const Backoff& backoff) { backoff_ = backoff; }
    bool has_given_up() const noexcept { return given_up_; }

private:
    bool is_too_often(Clock::time_point now) {
        if (backoff_.restarts == 0) return false;
        while (!restarts_.empty() && reached(now - restarts_.front(), backoff_.period)) restarts_.pop_front();
        restarts_.push_back(now);
        return restarts_.size() > backoff_.restarts;
    }
    milliseconds wait(double chance) const noexcept {
        if (short_lives_ <= backoff_.at_once) return milliseconds{0};
        milliseconds time = backoff_.first;
        for (unsigned i = backoff_.at_once + 1; i < failed_starts_ && time < backoff_.longest; ++i)
            time = doubled(time, backoff_.longest);
        time = std::min(time, backoff_.longest);
        return time - std::chrono::duration_cast<milliseconds>(time * backoff_.jitter * chance);
    }

    Restart restart_;
    Backoff backoff_;
    std::list<Clock::time_point> restarts_; // of the last period
    unsigned short_lives_ = 0;
    unsigned failed_starts_ = 0;
    bool given_up_ = false;
};

} // namespace cohort::detail
