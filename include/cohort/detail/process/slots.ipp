// SPDX-License-Identifier: MIT
// The bodies of slots.hpp (layer 4).
#pragma once

#include <cohort/detail/process/slots.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <utility>

namespace cohort::detail {

COHORT_DECL void Slots::let_go(const WorkerRecord& record) noexcept {
    Slot& slot = *slots_[record.slot];
    const bool is_alone = slot.current == 0 || slot.successor == 0;
    if (holds(record) && is_alone) slot.wanted = false;
}

COHORT_DECL unsigned Slots::add(WorkerSpec assignment, RestartPolicy policy) {
    const auto found = std::ranges::find_if(slots_, [](const auto& slot) { return !slot->occupied; });
    const auto number = static_cast<unsigned>(found - slots_.begin());
    if (found == slots_.end()) slots_.emplace_back();
    slots_[number] = std::make_unique<Slot>(Slot{std::move(assignment), std::move(policy)});
    return number;
}

COHORT_DECL bool Slots::is_ready(const WorkerRecord& record, Readiness readiness) const noexcept {
    if (readiness == Readiness::announced) return record.announced;
    return record.state >= WorkerState::online && record.endpoints() >= slots_[record.slot]->wanted_endpoints;
}

COHORT_DECL WorkerId Slots::take_over(const WorkerRecord& successor) noexcept {
    Slot& slot = *slots_[successor.slot];
    slot.successor = 0;
    return std::exchange(slot.current, successor.id);
}

COHORT_DECL std::vector<unsigned> Slots::wanted(unsigned group) const {
    std::vector<unsigned> result;
    for (unsigned number = 0; number < slots_.size(); ++number) {
        const Slot& slot = *slots_[number];
        if (slot.occupied && slot.wanted && slot.assignment.group == group) result.push_back(number);
    }
    return result;
}

COHORT_DECL bool Slots::is_one_coming(const WorkerRecords& records) const {
    const auto listens = [&records](WorkerId worker) {
        const auto found = records.find(worker);
        return found != records.end() && found->second->listened;
    };
    return std::ranges::any_of(slots_, [&listens](const auto& slot) {
        const bool is_silent = slot->listened && !listens(slot->current) && !listens(slot->successor);
        return slot->occupied && (slot->is_vacant() || (slot->wanted && is_silent));
    });
}

COHORT_DECL bool Slots::vacate(const WorkerRecord& record) noexcept {
    Slot& slot = *slots_[record.slot];
    const bool was_its = holds(record);
    slot.listened = slot.listened || (was_its && record.listened);
    if (was_its && record.endpoints() != 0) slot.wanted_endpoints = record.endpoints();
    if (slot.current == record.id) slot.current = 0;
    if (slot.successor == record.id) slot.successor = 0;
    if (was_its && slot.is_vacant()) slot.occupied = slot.wanted;
    return was_its && slot.is_vacant();
}

COHORT_DECL std::optional<std::chrono::milliseconds> Slots::follow(const WorkerRecord& record, const ExitStatus& status,
                                                                   bool voluntary) {
    Slot& slot = *slots_[record.slot];
    const auto now = std::chrono::steady_clock::now();
    const auto restart =
        slot.policy.on_exit({.status = status,
                             .voluntary = voluntary || !slot.wanted,
                             .listened = record.listened,
                             .lived = std::chrono::duration_cast<std::chrono::milliseconds>(now - record.born),
                             .when = now,
                             .chance = chance_(random_),
                             .not_ready = record.error == Errc::not_ready,
                             .to_be_replaced = record.to_be_replaced});
    given_up_ = given_up_ || (slot.policy.has_given_up() && !record.voluntary);
    slot.occupied = slot.wanted = restart.has_value();
    if (restart) {
        ++slot.restarts;
        ++restarts_;
        slot.last_end = status;
    }
    return restart;
}

} // namespace cohort::detail
