// SPDX-License-Identifier: MIT
// Slots: which worker has which place, who follows whom, and when (layer 4).
#pragma once

#include <cohort/detail/policy/restart_policy.hpp>
#include <cohort/detail/process/worker_record.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace cohort::detail {

/// A place for one worker after the other; during a reload for two.
struct Slot {
    WorkerSpec assignment;
    RestartPolicy policy;
    bool occupied = false; // by a worker, or by one that is about to come
    bool wanted = true;    // its worker is not to leave, or there is to be another
    bool held = false;     // a reload starts the next one
    bool listened = false; // one of those before did
    WorkerId current = 0;
    WorkerId successor = 0;               // takes over when it is ready
    std::uint32_t restarts = 0;           // workers that ended and got a successor
    std::optional<ExitStatus> last_end{}; // how the last of them did
    unsigned wanted_endpoints = 0;        // before its next worker is ready: as many as the last one that listened had

    bool is_vacant() const noexcept { return current == 0 && successor == 0; }
};

/// Keeps the books only: it starts and ends no process.
class Slots {
public:
    /// Adds a slot, with the lowest number that is free, and returns the number.
    unsigned add(WorkerSpec assignment, RestartPolicy policy);
    Slot& operator[](unsigned slot) noexcept { return *slots_[slot]; }
    const Slot& operator[](unsigned slot) const noexcept { return *slots_[slot]; }
    unsigned size() const noexcept { return static_cast<unsigned>(slots_.size()); }
    /// The slots of a group that have, or will have, a worker that is to stay.
    std::vector<unsigned> wanted(unsigned group) const;
    /// Whether a slot has no worker, and a reload is about to start one.
    bool is_one_held() const {
        return std::ranges::any_of(slots_, [](const auto& slot) { return slot->held && slot->is_vacant(); });
    }
    /// Whether a slot waits for a worker, or for its worker to listen, as one before did.
    bool is_one_coming(const WorkerRecords& records) const;
    /// The worker is to leave and gets no successor, unless it has one already.
    void let_go(const WorkerRecord& record) noexcept;
    /// Whether it is the worker of its slot, or is to be.
    bool holds(const WorkerRecord& record) const noexcept {
        return is_current(record) || slots_[record.slot]->successor == record.id;
    }
    bool is_current(const WorkerRecord& record) const noexcept { return slots_[record.slot]->current == record.id; }
    /// Whether it listens on as many endpoints as its predecessor, or has said by itself that it is ready.
    bool is_ready(const WorkerRecord& record, Readiness readiness) const noexcept;
    /// The slot belongs to the successor from here on. Returns its predecessor.
    WorkerId take_over(const WorkerRecord& successor) noexcept;
    /// The worker has ended. Returns true when its slot has no worker now.
    bool vacate(const WorkerRecord& record) noexcept;
    /// How long the slot of a worker that has ended waits for the next one; empty when there will be none.
    std::optional<std::chrono::milliseconds> follow(const WorkerRecord& record, const ExitStatus& status,
                                                    bool voluntary);
    /// From the next end of a worker on.
    void set(const Backoff& backoff) {
        for (const auto& slot : slots_) slot->policy.set(backoff);
    }
    bool has_given_up() const noexcept { return given_up_; }
    /// Of all slots, those that are no more included.
    std::uint64_t restarts() const noexcept { return restarts_; }

private:
    std::vector<std::unique_ptr<Slot>> slots_;
    std::minstd_rand random_{std::random_device{}()};
    std::uniform_real_distribution<> chance_;
    std::uint64_t restarts_ = 0;
    bool given_up_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/slots.ipp>
#endif
