// SPDX-License-Identifier: MIT
// StatsCollector: what Master::stats() tells, counted on across the workers of a slot (layer 4).
#pragma once

#include <cohort/detail/process/worker_record.hpp>
#include <cohort/mode.hpp>

#include <cstddef>
#include <map>
#include <memory>

namespace cohort::detail {

/// Between the master and this worker.
MessageCounts messages_of(const WorkerRecord& worker) noexcept;

/// Living workers count in their cells of the shared page, those that have gone in the ledger.
class StatsCollector {
public:
    StatsCollector(SharedPage& page, const WorkerRecords& records, Ledger& ledger, Dispatcher& dispatcher)
        : page_(page), records_(records), ledger_(ledger), dispatcher_(dispatcher) {}

    /// Adds what a worker that has ended has counted to the figures of its slot.
    void keep(const WorkerRecord& record);
    Stats stats() const;
    /// For all processes to see, beside the calls that wait for a worker. Costs a system call per listener.
    void note_queues(std::size_t waiting_calls) const;

private:
    SlotStats of_slot(unsigned slot, SlotStats stats) const;
    void add(const WorkerRecord& record, SlotStats& stats) const;

    SharedPage& page_;
    const WorkerRecords& records_;
    Ledger& ledger_;
    Dispatcher& dispatcher_;
    std::map<unsigned, std::shared_ptr<MessageStream::Counts>> messages_; // of a slot's dead workers
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/stats_collector.ipp>
#endif
