// SPDX-License-Identifier: MIT
// The bodies of worker_counts.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/worker_counts.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL WorkerCounts count_workers(const Slots& slots, const WorkerRecords& records, Readiness readiness) {
    WorkerCounts counts;
    for (unsigned slot = 0; slot != slots.size(); ++slot) counts.wanted += slots[slot].occupied && slots[slot].wanted;
    for (const auto& [id, record] : records) {
        ++counts.alive;
        counts.leaving += record->state >= WorkerState::draining;
        counts.ready +=
            record->state < WorkerState::draining && slots.is_current(*record) && slots.is_ready(*record, readiness);
    }
    counts.given_up = slots.has_given_up();
    return counts;
}

COHORT_DECL std::string describe(const WorkerCounts& counts, bool stopping) {
    const auto number = [](unsigned count, const char* one, const char* many) {
        return std::to_string(count) + (count == 1 ? one : many);
    };
    if (stopping) return "stopping, " + number(counts.alive, " worker is left", " workers are left");
    std::string text =
        std::to_string(counts.ready) + " of " + number(counts.wanted, " worker is ready", " workers are ready");
    if (counts.leaving != 0) text += ", " + number(counts.leaving, " is leaving", " are leaving");
    if (counts.given_up) text += ", a slot was given up";
    return text;
}

} // namespace cohort::detail
