// SPDX-License-Identifier: MIT
// Slots: which worker has which place, who follows whom, and when (layer 4).
#pragma once

#include <cohort/detail/process/worker_record.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace cohort::detail {

/// A place for one worker after the other; during a reload for two.
struct Slot {
    WorkerSpec assignment;
    RestartPolicy policy;
    bool occupied = false; // by a worker, or by one that is about to come
    bool wanted = true;    // its worker is not to leave, or there is to be another
    bool listened = false; // one of those before did
    WorkerId current = 0;
    WorkerId successor = 0;        // takes over when it is ready
    unsigned wanted_endpoints = 0; // before it is ready

    bool is_vacant() const noexcept { return current == 0 && successor == 0; }
};

/// Starts and ends nobody: it says what follows.
class Slots {
public:
    /// The lowest place that nobody has.
    unsigned add(WorkerSpec assignment, RestartPolicy policy);
    Slot& operator[](unsigned slot) noexcept { return *slots_[slot]; }
    /// Those of a group that have, or will have, a worker that is to stay.
    std::vector<unsigned> wanted(unsigned group) const;
    /// Some slot will have a worker, or has one that does not listen yet as those before it did.
    bool is_one_coming(const WorkerRecords& records) const;
    /// This worker is to leave, without a successor, unless there is one already.
    void let_go(const WorkerRecord& record) noexcept {
        Slot& slot = *slots_[record.slot];
        const bool is_its = slot.current == record.id || slot.successor == record.id;
        const bool is_alone = slot.current == 0 || slot.successor == 0;
        if (is_its && is_alone) slot.wanted = false;
    }
    bool is_current(const WorkerRecord& record) const noexcept { return slots_[record.slot]->current == record.id; }
    /// As many endpoints as its predecessor shares, or its own word.
    bool is_ready(const WorkerRecord& record, Readiness readiness) const noexcept;
    /// The successor has the place alone from here on; gives its predecessor.
    WorkerId take_over(const WorkerRecord& successor) noexcept;
    /// The worker has gone. True: its slot has none now.
    bool vacate(const WorkerRecord& record) noexcept;
    /// When the slot that this worker has left empty gets its next one, if there is to be another.
    std::optional<std::chrono::milliseconds> follow(const WorkerRecord& record, const ExitStatus& status,
                                                    bool voluntary);
    bool has_given_up() const noexcept { return given_up_; }

private:
    std::vector<std::unique_ptr<Slot>> slots_;
    std::minstd_rand random_{std::random_device{}()};
    std::uniform_real_distribution<> chance_;
    bool given_up_ = false;
};

inline unsigned Slots::add(WorkerSpec assignment, RestartPolicy policy) {
    const auto found = std::ranges::find_if(slots_, [](const auto& slot) { return !slot->occupied; });
    const auto number = static_cast<unsigned>(found - slots_.begin());
    if (found == slots_.end()) slots_.emplace_back();
    slots_[number] = std::make_unique<Slot>(Slot{std::move(assignment), std::move(policy)});
    return number;
}

inline bool Slots::is_ready(const WorkerRecord& record, Readiness readiness) const noexcept {
    if (readiness == Readiness::announced) return record.announced;
    return record.state >= WorkerState::online && record.endpoints >= slots_[record.slot]->wanted_endpoints;
}

inline WorkerId Slots::take_over(const WorkerRecord& successor) noexcept {
    Slot& slot = *slots_[successor.slot];
    slot.successor = 0;
    return std::exchange(slot.current, successor.id);
}

inline std::vector<unsigned> Slots::wanted(unsigned group) const {
    std::vector<unsigned> result;
    for (unsigned number = 0; number < slots_.size(); ++number) {
        const Slot& slot = *slots_[number];
        if (slot.occupied && slot.wanted && slot.assignment.group == group) result.push_back(number);
    }
    return result;
}

inline bool Slots::is_one_coming(const WorkerRecords& records) const {
    const auto listens = [&records](WorkerId worker) {
        const auto found = records.find(worker);
        return found != records.end() && found->second->listened;
    };
    return std::ranges::any_of(slots_, [&listens](const auto& slot) {
        const bool is_silent = slot->listened && !listens(slot->current) && !listens(slot->successor);
        return slot->occupied && (slot->is_vacant() || (slot->wanted && is_silent));
    });
}

inline bool Slots::vacate(const WorkerRecord& record) noexcept {
    Slot& slot = *slots_[record.slot];
    const bool was_its = slot.current == record.id || slot.successor == record.id;
    slot.listened = slot.listened || (was_its && record.listened);
    if (slot.current == record.id) slot.current = 0;
    if (slot.successor == record.id) slot.successor = 0;
    if (was_its && slot.is_vacant()) slot.occupied = slot.wanted;
    return was_its && slot.is_vacant();
}

inline std::optional<std::chrono::milliseconds> Slots::follow(const WorkerRecord& record, const ExitStatus& status,
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
                             .not_ready = record.error == Errc::not_ready});
    given_up_ = given_up_ || (slot.policy.has_given_up() && !record.voluntary);
    slot.occupied = slot.wanted = restart.has_value();
    return restart;
}

} // namespace cohort::detail
