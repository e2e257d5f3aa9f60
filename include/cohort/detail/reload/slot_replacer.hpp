// SPDX-License-Identifier: MIT
// SlotReplacer: workers beside those that they are to replace (layer 4).
#pragma once

#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/reload/reloader.hpp>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace cohort::detail {

/// Does with the slots and their workers what a Reloader says.
class SlotReplacer {
public:
    struct Owner {
        std::function<WorkerId(unsigned slot)> start;
        std::function<void(WorkerRecord&)> ask_to_leave;
    };

    SlotReplacer(const Options& options, const WorkerRecords& records, Slots& slots, Owner owner)
        : options_(options), records_(records), slots_(slots), owner_(std::move(owner)) {}

    Reloader::Actions actions() {
        return {[this](unsigned slot) { return start(slot); }, [this](WorkerId worker) { take_over(worker); },
                [this](WorkerId worker) { end(worker); }, [this](WorkerId worker) { reject(worker); }};
    }
    /// The slots whose workers can be replaced.
    std::vector<unsigned> replaceable() const;

private:
    WorkerId start(unsigned slot);
    void take_over(WorkerId successor);
    void end(WorkerId successor);
    void reject(WorkerId successor);
    void limit_leaving(unsigned slot);

    const Options& options_;
    const WorkerRecords& records_;
    Slots& slots_;
    Owner owner_;
};

inline std::vector<unsigned> SlotReplacer::replaceable() const {
    std::vector<unsigned> slots;
    for (const auto& [id, record] : records_)
        if (slots_.is_current(*record) && record->state != WorkerState::draining) slots.push_back(record->slot);
    return slots;
}

inline WorkerId SlotReplacer::start(unsigned slot) {
    Slot& place = slots_[slot];
    if (!place.occupied || !place.wanted) return 0;
    const auto predecessor = records_.find(place.current);
    place.wanted_endpoints = predecessor == records_.end() ? 0 : predecessor->second->endpoints;
    return place.successor = owner_.start(slot);
}

inline void SlotReplacer::take_over(WorkerId successor) {
    const auto predecessor = records_.find(slots_.take_over(*records_.at(successor)));
    if (predecessor == records_.end()) return;
    const auto record = predecessor->second;
    owner_.ask_to_leave(*record);
    limit_leaving(record->slot);
}

/// The oldest ones have had the most time.
inline void SlotReplacer::limit_leaving(unsigned slot) {
    std::vector<WorkerRecord*> leaving;
    for (const auto& [id, record] : records_)
        if (record->slot == slot && record->state == WorkerState::draining) leaving.push_back(record.get());
    for (std::size_t i = 0; i + options_.draining_per_slot < leaving.size(); ++i)
        send_signal(leaving[i]->pidfd.get(), SIGKILL);
}

inline void SlotReplacer::end(WorkerId successor) {
    WorkerRecord& unwanted = *records_.at(successor);
    unwanted.voluntary = slots_[unwanted.slot].current != 0; // else it was needed: the policy decides
    send_signal(unwanted.pidfd.get(), SIGKILL);
}

/// The old worker goes on alone; when there is none any more, the new one is better than nobody.
inline void SlotReplacer::reject(WorkerId successor) {
    WorkerRecord& unwanted = *records_.at(successor);
    if (slots_[unwanted.slot].current != 0)
        owner_.ask_to_leave(unwanted);
    else
        take_over(successor);
}

} // namespace cohort::detail
