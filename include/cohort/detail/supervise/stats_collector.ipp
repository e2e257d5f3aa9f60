// SPDX-License-Identifier: MIT
// The bodies of stats_collector.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/stats_collector.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

#include <atomic>

namespace cohort::detail {

COHORT_DECL MessageCounts to_message_counts(const MessageStream::Counts& counts) noexcept {
    return {counts.sent, counts.received, counts.calls_made, counts.calls_received};
}

COHORT_DECL MessageCounts messages_of(const WorkerRecord& worker) noexcept {
    return to_message_counts(worker.messages->counts());
}

COHORT_DECL void StatsCollector::keep(const WorkerRecord& record) {
    add(record, ledger_[record.slot]);
    auto& sum = messages_[record.slot];
    if (!sum) sum = share<MessageStream::Counts>();
    record.messages->count_in(sum);
}

COHORT_DECL void StatsCollector::note_queues(std::size_t waiting_calls) const {
    std::uint64_t queued = 0;
    for (const QueueStats& queue : dispatcher_.queues()) queued += queue.length;
    page_.note_queues(queued, waiting_calls);
}

COHORT_DECL Stats StatsCollector::stats() const {
    for (const auto& [id, record] : records_) ledger_[record->slot];
    Stats result;
    for (const auto& [slot, kept] : ledger_) result.slots.push_back(of_slot(slot, kept));
    result.queues = dispatcher_.queues();
    for (const auto& [id, record] : records_) {
        SlotStats own;
        add(*record, own);
        result.workers.push_back(
            {id, record->slot, record->generation, own.requests, own.responses, own.latency, messages_of(*record)});
    }
    return result;
}

COHORT_DECL SlotStats StatsCollector::of_slot(unsigned slot, SlotStats stats) const {
    stats.slot = slot;
    if (const auto dead = messages_.find(slot); dead != messages_.end())
        stats.messages += to_message_counts(*dead->second);
    for (const auto& [id, record] : records_) {
        if (record->slot != slot) continue;
        stats.worker = id;
        stats.open += page_.worker(record->cell).open_connections();
        add(*record, stats);
        stats.messages += messages_of(*record);
    }
    return stats;
}

COHORT_DECL void StatsCollector::add(const WorkerRecord& record, SlotStats& stats) const {
    const WorkerCell& cell = page_.worker(record.cell);
    stats.accepted += WorkerCell::count_of(cell.accepted);
    stats.requests += WorkerCell::count_of(cell.begun);
    for (std::size_t i = 0; i != cell.responses.size(); ++i)
        stats.responses[i] += WorkerCell::count_of(cell.responses[i]);
    for (std::size_t i = 0; i != cell.latency.size(); ++i)
        stats.latency.counts[i] += WorkerCell::count_of(cell.latency[i]);
    stats.latency.sum += std::chrono::nanoseconds(WorkerCell::count_of(cell.latency_sum));
}

} // namespace cohort::detail
