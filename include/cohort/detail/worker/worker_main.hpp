// SPDX-License-Identifier: MIT
// The life of a worker process, from its own event loop to its end (layer 4).
#pragma once

#include <cohort/detail/worker/worker_spec.hpp>

namespace cohort::detail {

/// The process ends inside.
[[noreturn]] void run_as_worker(SharedPage& page, const Identity& identity, const Options& options,
                                const MakeWorker& make);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/worker_main.ipp>
#endif
