// SPDX-License-Identifier: MIT
// StatsCollector: what Master::stats() tells, counted on across the workers of a slot (layer 4).
#pragma once

#include <cohort/detail/listen/any_dispatcher.hpp>
#include <cohort/detail/process/worker_record.hpp>

#include <atomic>

namespace cohort::detail {

/// Living workers count in their cells of the shared page, those that have gone in the ledger.
class StatsCollector {
public:
    StatsCollector(SharedPage& page, const WorkerRecords& records, Ledger& ledger, AnyDispatcher& dispatcher)
        : page_(page), records_(records), ledger_(ledger), dispatcher_(dispatcher) {}

    /// The worker has gone: what it has counted stays.
    void keep(const WorkerRecord& record) { add(record, ledger_[record.slot]); }
    Stats stats() const {
        for (const auto& [id, record] : records_) ledger_[record->slot];
        Stats result;
        for (const auto& [slot, kept] : ledger_) result.slots.push_back(of_slot(slot, kept));
        result.queues = dispatcher_.queues();
        return result;
    }

private:
    SlotStats of_slot(unsigned slot, SlotStats stats) const {
        stats.slot = slot;
        for (const auto& [id, record] : records_) {
            if (record->slot != slot) continue;
            stats.worker = id;
            stats.open += page_.worker(record->cell).open.load(std::memory_order_relaxed);
            add(*record, stats);
        }
        return stats;
    }
    void add(const WorkerRecord& record, SlotStats& stats) const {
        const WorkerCell& cell = page_.worker(record.cell);
        stats.accepted += cell.accepted.load(std::memory_order_relaxed);
        stats.requests += cell.begun.load(std::memory_order_relaxed);
    }

    SharedPage& page_;
    const WorkerRecords& records_;
    Ledger& ledger_;
    AnyDispatcher& dispatcher_;
};

} // namespace cohort::detail
