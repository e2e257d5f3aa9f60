// SPDX-License-Identifier: MIT
// WorkerCounts: how a cluster is, in a few numbers (layer 4).
#pragma once

#include <cohort/detail/process/slots.hpp>
#include <cohort/options.hpp>

#include <string>

namespace cohort::detail {

struct WorkerCounts {
    unsigned wanted = 0; // slots that have a worker, or are to have one
    unsigned ready = 0;
    unsigned leaving = 0;
    unsigned alive = 0;
    bool given_up = false; // a slot was
};

WorkerCounts count_workers(const Slots& slots, const WorkerRecords& records, Readiness readiness);

/// "3 of 4 workers are ready, 1 is leaving"; "stopping, 2 workers are left".
std::string describe(const WorkerCounts& counts, bool stopping);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/worker_counts.ipp>
#endif
