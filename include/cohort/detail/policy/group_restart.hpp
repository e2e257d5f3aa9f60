// SPDX-License-Identifier: MIT
// GroupRestart: when the slots of a group start again after one of their workers crashed, as a machine (layer 1).
#pragma once

#include <cohort/event.hpp>
#include <cohort/options.hpp>

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace cohort::detail {

/// Strategy::one_for_all. A group is told of the crash and then of each worker that goes; the last one's end is when
/// its slots are to start.
class GroupRestart {
public:
    using milliseconds = std::chrono::milliseconds;

    /// What is to be done when the last one has gone.
    struct Start {
        std::vector<unsigned> slots; ///< in order
        milliseconds delay{};
    };

    /// A worker of this group crashed, and after `delay` there is to be another; nothing: its slot is given up, and no
    /// slot of the group starts again. `living`: the others, which are to leave.
    void begin(unsigned group, std::set<unsigned> slots, std::set<WorkerId> living, std::optional<milliseconds> delay) {
        if (!delay) slots.clear();
        under_way_[group] = {std::move(slots), std::move(living), delay.value_or(milliseconds{0})};
    }
    /// The end of a worker of this group is part of it, whatever it is: it is not answered by itself.
    bool concerns(unsigned group) const { return under_way_.contains(group); }
    /// Empty: others have not gone yet.
    std::optional<Start> on_gone(unsigned group, WorkerId worker) {
        const auto found = under_way_.find(group);
        if (found == under_way_.end()) return std::nullopt;
        found->second.living.erase(worker);
        return take_if_complete(found);
    }
    /// The slot is not wanted any more.
    void forget(unsigned group, unsigned slot) {
        const auto found = under_way_.find(group);
        if (found != under_way_.end()) found->second.slots.erase(slot);
    }

private:
    struct Restart {
        std::set<unsigned> slots;
        std::set<WorkerId> living;
        milliseconds delay{};
    };
    using Restarts = std::map<unsigned, Restart>;

    std::optional<Start> take_if_complete(Restarts::iterator restart) {
        if (!restart->second.living.empty()) return std::nullopt;
        const auto& slots = restart->second.slots;
        Start start{{slots.begin(), slots.end()}, restart->second.delay};
        under_way_.erase(restart);
        return start;
    }

    Restarts under_way_;
};

} // namespace cohort::detail
