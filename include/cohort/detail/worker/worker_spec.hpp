// SPDX-License-Identifier: MIT
// WorkerSpec: what a worker is to do, and in which surroundings, whatever its messages and its mode are (layer 4).
#pragma once

#include <cohort/options.hpp>
#include <cohort/task.hpp>

#include <functional>

#include <sys/types.h>

namespace asio {
class io_context;
} // namespace asio

namespace cohort::detail {

struct Identity;
class SharedPage;
class WorkerCore;

/// What a Worker is made of, in its own process.
struct WorkerSetup {
    asio::io_context& context;
    SharedPage& page;
    const Identity& identity;
};

/// A worker that is there, and what it is to do.
struct RunningWorker {
    WorkerCore* core = nullptr;
    Task<int> body;
};

/// Makes the worker in its process. What it makes is never destroyed: the process ends inside.
using MakeWorker = std::function<RunningWorker(const WorkerSetup&)>;

struct WorkerSpec {
    /// Empty: WorkerOptions::program knows nothing of cohort.
    bool is_program() const noexcept { return !make; }

    MakeWorker make;
    WorkerOptions options;
    /// Workers that are started and ended together; 0: those of the cluster itself.
    unsigned group = 0;
    /// One that runs already: the first worker of the slot. 0: none.
    pid_t running = 0;
};

/// In a program that was started as a worker (Spawn::exec), its life begins here and this does not return.
void run_if_started_as_worker(const Options& options, const MakeWorker& make);

/// A body without an exit code of its own.
Task<int> with_code_0(Task<> body);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/worker_main.hpp>
#endif
