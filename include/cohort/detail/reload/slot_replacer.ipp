// SPDX-License-Identifier: MIT
// The bodies of slot_replacer.hpp (layer 4).
#pragma once

#include <cohort/detail/reload/slot_replacer.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL std::vector<unsigned> SlotReplacer::replaceable() const {
    std::vector<unsigned> slots;
    for (const auto& [id, record] : records_)
        if (slots_.is_current(*record) && record->state != WorkerState::draining) slots.push_back(record->slot);
    return slots;
}

COHORT_DECL bool SlotReplacer::make_room(unsigned slot) {
    Slot& place = slots_[slot];
    const auto worker = records_.find(place.current);
    if (options_.reload_order != ReloadOrder::stop_first || worker == records_.end() || !place.wanted) return false;
    if (worker->second->listened) place.wanted_endpoints = worker->second->endpoints();
    place.held = true;
    const auto record = worker->second;
    owner_.ask_to_leave(*record);
    return true;
}

COHORT_DECL WorkerId SlotReplacer::start_successor(unsigned slot) {
    Slot& place = slots_[slot];
    if (!place.occupied || !place.wanted) return 0;
    const auto predecessor = records_.find(place.current);
    if (predecessor != records_.end() && predecessor->second->listened)
        place.wanted_endpoints = predecessor->second->endpoints();
    return place.successor = owner_.start(slot);
}

COHORT_DECL void SlotReplacer::take_over(WorkerId successor) {
    const auto predecessor = records_.find(slots_.take_over(*records_.at(successor)));
    if (predecessor == records_.end()) return;
    const auto record = predecessor->second;
    owner_.ask_to_leave(*record);
    limit_leaving(record->slot);
}

/// The oldest ones have had the most time.
COHORT_DECL void SlotReplacer::limit_leaving(unsigned slot) {
    std::vector<WorkerRecord*> leaving;
    for (const auto& [id, record] : records_)
        if (record->slot == slot && record->state == WorkerState::draining) leaving.push_back(record.get());
    for (std::size_t i = 0; i + options_.draining_per_slot < leaving.size(); ++i)
        send_signal(leaving[i]->pidfd.get(), SIGKILL);
}

COHORT_DECL void SlotReplacer::end(WorkerId successor) {
    WorkerRecord& unwanted = *records_.at(successor);
    unwanted.voluntary = slots_[unwanted.slot].current != 0; // else its slot is empty: the restart policy decides
    send_signal(unwanted.pidfd.get(), SIGKILL);
}

/// The old worker goes on alone; when there is none any more, the new one is better than nobody.
COHORT_DECL void SlotReplacer::reject(WorkerId successor) {
    WorkerRecord& unwanted = *records_.at(successor);
    if (slots_[unwanted.slot].current != 0)
        owner_.ask_to_leave(unwanted);
    else
        take_over(successor);
}

} // namespace cohort::detail
