// SPDX-License-Identifier: MIT
// GroupRestart: when the slots of a group start again after one of their workers crashed, as a state machine (layer 1).
#pragma once

#include <cohort/event.hpp>
#include <cohort/options.hpp>

#include <chrono>
#include <list>
#include <optional>
#include <vector>

namespace cohort::detail {

/// Strategy::one_for_all. It is told of the crash, then of each worker of the group that exits; after the last one the
/// group's slots start.
class GroupRestart {
public:
    using milliseconds = std::chrono::milliseconds;

    /// What is to be done when the last one has gone.
    struct Start {
        std::vector<unsigned> slots; ///< in order
        milliseconds delay{};
    };

    /// A worker of this group crashed and is to be replaced after `delay`; nullopt: its slot is given up, and no slot
    /// of the group starts again. `slots`: in the order in which they are to start. `living`: the other workers, which
    /// are to leave.
    void begin(unsigned group, std::vector<unsigned> slots, std::vector<WorkerId> living,
               std::optional<milliseconds> delay) {
        if (!delay) slots.clear();
        under_way_.remove_if([=](const Restart& restart) { return restart.group == group; });
        under_way_.push_back({group, std::move(slots), std::move(living), delay.value_or(milliseconds{0})});
    }
    /// Whether an exit of a worker of this group, whatever its status, is part of a group restart.
    bool concerns(unsigned group) noexcept { return find(group) != under_way_.end(); }
    /// Empty: others have not gone yet.
    std::optional<Start> on_gone(unsigned group, WorkerId worker) {
        const auto restart = find(group);
        if (restart == under_way_.end()) return std::nullopt;
        std::erase(restart->living, worker);
        if (!restart->living.empty()) return std::nullopt;
        Start start{std::move(restart->slots), restart->delay};
        under_way_.erase(restart);
        return start;
    }
    /// The slot is not wanted any more.
    void forget(unsigned group, unsigned slot) {
        const auto restart = find(group);
        if (restart != under_way_.end()) std::erase(restart->slots, slot);
    }

private:
    struct Restart {
        unsigned group = 0;
        std::vector<unsigned> slots; // in order
        std::vector<WorkerId> living;
        milliseconds delay{};
    };
    using Restarts = std::list<Restart>;

    Restarts::iterator find(unsigned group) noexcept {
        auto restart = under_way_.begin();
        while (restart != under_way_.end() && restart->group != group) ++restart;
        return restart;
    }

    Restarts under_way_;
};

} // namespace cohort::detail
