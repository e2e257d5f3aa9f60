// SPDX-License-Identifier: MIT
// The bodies of stats_collector.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/stats_collector.hpp>

#include <cohort/detail/config.hpp>

#include <atomic>

namespace cohort::detail {

COHORT_DECL Stats StatsCollector::stats() const {
    for (const auto& [id, record] : records_) ledger_[record->slot];
    Stats result;
    for (const auto& [slot, kept] : ledger_) result.slots.push_back(of_slot(slot, kept));
    result.queues = dispatcher_.queues();
    return result;
}

COHORT_DECL SlotStats StatsCollector::of_slot(unsigned slot, SlotStats stats) const {
    stats.slot = slot;
    for (const auto& [id, record] : records_) {
        if (record->slot != slot) continue;
        stats.worker = id;
        stats.open += page_.worker(record->cell).open_connections();
        add(*record, stats);
    }
    return stats;
}

COHORT_DECL void StatsCollector::add(const WorkerRecord& record, SlotStats& stats) const {
    const WorkerCell& cell = page_.worker(record.cell);
    stats.accepted += WorkerCell::count_of(cell.accepted);
    stats.requests += WorkerCell::count_of(cell.begun);
}

} // namespace cohort::detail
