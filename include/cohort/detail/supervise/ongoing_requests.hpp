// SPDX-License-Identifier: MIT
// What workers have to answer, as their master sees it (layer 4).
#pragma once

#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/stats.hpp>

#include <cstddef>
#include <vector>

namespace cohort::detail {

/// Of these workers, oldest first, and no more than `most`. Costs some system calls for each of the first, of which the
/// client is found out (pidfd_getfd(2)).
std::vector<RequestInfo> ongoing_requests(const WorkerRecords& workers, SharedPage& page, std::size_t most = 1'000);

/// Notes what a worker that is stuck, or has died, has not answered, and says the oldest on standard error.
void note_unanswered(WorkerRecord& worker, SharedPage& page);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/ongoing_requests.ipp>
#endif
