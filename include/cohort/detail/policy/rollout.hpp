// SPDX-License-Identifier: MIT
// Rollout: the order of a reload, as a state machine without clock or process (layer 1).
#pragma once

#include <cohort/reload.hpp>
#include <cohort/timeout.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace cohort::detail {

/// How a rollout goes on from slot to slot.
struct RolloutPlan {
    using Clock = std::chrono::steady_clock;

    unsigned at_once = 1; ///< successors that may be starting at the same time
    Timeout boot_timeout{};
    unsigned canaries = 0; ///< so many slots first
    Timeout soak = Clock::duration::zero();
};

/// Slot by slot: a successor is started, and when it is ready its predecessor may leave. The first successor that does
/// not become ready ends it. With canaries the first ones are on trial together, beside their predecessors, before any
/// of them takes over.
class Rollout {
public:
    using Clock = RolloutPlan::Clock;

    Rollout(std::vector<unsigned> slots, RolloutPlan plan) : waiting_(std::move(slots)), plan_(plan) {
        limit_canaries();
    }

    /// The slot to start a successor in, now; call again until there is none.
    std::optional<unsigned> next_slot() const noexcept {
        const bool on_trial = starting_.size() + trial_.size() >= plan_.canaries && !is_past_trial();
        const bool may_start = !report_.error && !on_trial && starting_.size() < plan_.at_once && !waiting_.empty();
        return may_start ? std::optional(waiting_.front()) : std::nullopt;
    }
    void on_started(WorkerId successor, Clock::time_point now) {
        waiting_.erase(waiting_.begin());
        starting_[successor] = plan_.boot_timeout.deadline(now);
    }
    /// The slot has no worker any more that could have a successor.
    void skip() {
        waiting_.erase(waiting_.begin());
        limit_canaries();
    }
    /// The same for the slot of this successor.
    void forget(WorkerId successor) {
        starting_.erase(successor);
        std::erase(trial_, successor);
        limit_canaries();
    }
    void on_ready(WorkerId successor, Clock::time_point now) {
        if (report_.error || starting_.erase(successor) == 0) return;
        (is_past_trial() ? accepted_ : trial_).push_back(successor);
        if (trial_.size() == plan_.canaries && !is_past_trial()) soaked_ = plan_.soak.deadline(now);
    }
    /// Those that take over now, each once: their predecessors are to leave.
    std::vector<WorkerId> take_accepted() {
        report_.replaced += static_cast<unsigned>(accepted_.size());
        return std::exchange(accepted_, {});
    }
    void on_exit(WorkerId successor, const ExitStatus& status) {
        const bool was_on_trial = std::erase(trial_, successor) != 0;
        if ((starting_.erase(successor) == 0 && !was_on_trial) || report_.error) return;
        fail(was_on_trial ? Errc::canary_failed : Errc::not_ready);
        report_.failed = successor;
        report_.status = status;
    }
    void on_time(Clock::time_point now) {
        for (const auto& [successor, deadline] : starting_) {
            if (deadline > now || report_.error) continue;
            fail(Errc::not_ready);
            report_.failed = successor;
        }
        if (is_on_trial()) soaked_ = std::min(soaked_, plan_.soak.deadline(now)); // it begins now if it had not
        if (report_.error || !is_on_trial() || now < soaked_) return;
        accepted_ = std::exchange(trial_, {});
        plan_.canaries = 0;
    }
    void fail(std::error_code error) {
        if (!report_.error) report_.error = error;
    }

    /// All canaries are ready, and are looked at.
    bool is_on_trial() const noexcept { return plan_.canaries != 0 && trial_.size() == plan_.canaries; }
    /// When on_time() is to be called at the latest.
    Clock::time_point deadline() const noexcept {
        auto earliest = is_on_trial() ? soaked_ : Clock::time_point::max();
        for (const auto& [successor, deadline] : starting_) earliest = std::min(earliest, deadline);
        return earliest;
    }
    /// Once it has failed: the successors that were still starting.
    std::vector<WorkerId> unwanted() const {
        std::vector<WorkerId> all;
        if (report_.error)
            for (const auto& [successor, deadline] : starting_) all.push_back(successor);
        return all;
    }
    /// Once it has failed: the canaries on trial, which have begun to serve.
    std::vector<WorkerId> rejected() const { return report_.error ? trial_ : std::vector<WorkerId>(); }
    bool is_over() const noexcept {
        return report_.error || (waiting_.empty() && starting_.empty() && trial_.empty() && accepted_.empty());
    }
    const ReloadReport& report() const noexcept { return report_; }

private:
    /// No more than there are slots for.
    void limit_canaries() noexcept {
        plan_.canaries =
            std::min(plan_.canaries, static_cast<unsigned>(waiting_.size() + starting_.size() + trial_.size()));
    }
    bool is_past_trial() const noexcept { return plan_.canaries == 0; }

    std::vector<unsigned> waiting_;
    std::map<WorkerId, Clock::time_point> starting_; // until when
    std::vector<WorkerId> trial_;                    // ready, beside their predecessors
    std::vector<WorkerId> accepted_;
    RolloutPlan plan_;
    Clock::time_point soaked_ = Clock::time_point::max();
    ReloadReport report_;
};

} // namespace cohort::detail
