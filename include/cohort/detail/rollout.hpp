// SPDX-License-Identifier: MIT
// Rollout: the order of a reload, as a machine without clock or process (layer 1).
#pragma once

#include <cohort/reload.hpp>

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace cohort::detail {

/// Slot by slot: a successor is started, and when it is ready its predecessor may leave. The first successor that does
/// not become ready ends it.
class Rollout {
public:
    using Clock = std::chrono::steady_clock;

    /// `at_once`: how many slots are without a ready successor at a time.
    Rollout(std::vector<unsigned> slots, unsigned at_once, Clock::duration boot_timeout)
        : waiting_(slots.begin(), slots.end()), at_once_(at_once), boot_timeout_(boot_timeout) {}

    /// The slot to start a successor in, now; call again until there is none.
    std::optional<unsigned> next_slot() const noexcept {
        const bool may_start = !report_.error && starting_.size() < at_once_ && !waiting_.empty();
        return may_start ? std::optional(waiting_.front()) : std::nullopt;
    }
    void on_started(WorkerId successor, Clock::time_point now) {
        waiting_.pop_front();
        starting_[successor] =
            now < Clock::time_point::max() - boot_timeout_ ? now + boot_timeout_ : Clock::time_point::max();
    }
    /// True: it was awaited, so its predecessor is to leave.
    bool on_ready(WorkerId successor) {
        const bool awaited = !report_.error && starting_.erase(successor) != 0;
        if (awaited) ++report_.replaced;
        return awaited;
    }
    void on_exit(WorkerId successor, const ExitStatus& status) {
        if (starting_.erase(successor) == 0 || report_.error) return;
        fail(Errc::not_ready);
        report_.failed = successor;
        report_.status = status;
    }
    void on_time(Clock::time_point now) {
        for (const auto& [successor, deadline] : starting_) {
            if (deadline > now || report_.error) continue;
            fail(Errc::not_ready);
            report_.failed = successor;
        }
    }
    void fail(std::error_code error) {
        if (!report_.error) report_.error = error;
    }

    /// When on_time() is to be called at the latest.
    Clock::time_point deadline() const noexcept {
        auto earliest = Clock::time_point::max();
        for (const auto& [successor, deadline] : starting_) earliest = std::min(earliest, deadline);
        return earliest;
    }
    /// Those that are not wanted any more, because it has failed.
    std::vector<WorkerId> unwanted() const {
        std::vector<WorkerId> all;
        if (report_.error)
            for (const auto& [successor, deadline] : starting_) all.push_back(successor);
        return all;
    }
    bool is_over() const noexcept { return report_.error || (waiting_.empty() && starting_.empty()); }
    const ReloadReport& report() const noexcept { return report_; }

private:
    std::deque<unsigned> waiting_;
    std::map<WorkerId, Clock::time_point> starting_; // until when
    unsigned at_once_;
    Clock::duration boot_timeout_;
    ReloadReport report_;
};

} // namespace cohort::detail
