// SPDX-License-Identifier: MIT
// The bodies of respawn_queue.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/respawn_queue.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/printable.hpp>

#include <string>
#include <system_error>
#include <utility>

namespace cohort::detail {

COHORT_DECL void RespawnQueue::forget(unsigned slot) {
    for (auto& wait : waits_) std::erase(wait.slots, slot);
    waits_.remove_if([](const Wait& wait) { return wait.slots.empty(); });
}

COHORT_DECL void RespawnQueue::later(std::vector<unsigned> slots, milliseconds delay) {
    for (const unsigned slot : slots) slots_[slot].occupied = true;
    waits_.push_back({*this, Timer(executor_), std::move(slots)});
    waits_.back().timer.expire_after(delay, action<&Wait::end>(&waits_.back()));
}

COHORT_DECL void RespawnQueue::end_wait(Wait& wait) {
    const std::vector<unsigned> slots = std::move(wait.slots);
    waits_.remove_if([&](const Wait& other) { return &other == &wait; });
    for (const unsigned slot : slots) start(slot);
    owner_.on_respawned();
}

/// One that has a worker again, or is not wanted any more, is passed over.
COHORT_DECL void RespawnQueue::start(unsigned slot) {
    Slot& place = slots_[slot];
    if (!place.is_vacant()) return;
    place.occupied = false;
    if (!place.wanted) return;
    try {
        owner_.respawn(slot);
    } catch (const std::system_error& error) {
        if (error.code() == Errc::stopping) return;
        log_line(LogLevel::warning, "slot " + std::to_string(slot) + ": " + printable(error.what()) + ", trying again");
        later({slot}, again_);
    }
}

} // namespace cohort::detail
