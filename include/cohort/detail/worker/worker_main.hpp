// SPDX-License-Identifier: MIT
// The life of a worker process, from its own event loop to its end (layer 4).
#pragma once

#include <cohort/detail/worker/worker_core.hpp>

#include <asio/io_context.hpp>

#include <exception>
#include <functional>

namespace cohort::detail {

/// A worker that is there, and what it is to do.
struct RunningWorker {
    WorkerCore* core = nullptr;
    Task<int> body;
};

/// Makes the worker in its process. What it makes is never destroyed: the process ends inside.
using MakeWorker = std::function<RunningWorker(asio::io_context&, SharedPage&, const Identity&)>;

/// What a worker is to do, and in which surroundings.
struct WorkerSpec {
    MakeWorker make;
    WorkerOptions options;
    /// Workers that are started and ended together; 0: those of the cluster itself.
    unsigned group = 0;
};

/// A body that was about to listen when the worker was asked to leave has not failed.
bool is_failure(const WorkerCore& core, const std::exception& error);

Task<> live(WorkerCore& core, Task<int> body);

[[noreturn]] void run_as_worker(SharedPage& page, const Identity& identity, const Options& options,
                                const MakeWorker& make);

/// In a program that was started as a worker (Spawn::exec), its life begins here and this does not return.
void run_if_started_as_worker(const Options& options, const MakeWorker& make);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/worker_main.ipp>
#endif
