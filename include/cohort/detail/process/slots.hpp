// SPDX-License-Identifier: MIT
// Slots: which worker has which place, who follows whom, and when (layer 4).
#pragma once

#include <cohort/detail/policy/restart_policy.hpp>
#include <cohort/detail/process/worker_record.hpp>

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
    void let_go(const WorkerRecord& record) noexcept;
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

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/slots.ipp>
#endif
