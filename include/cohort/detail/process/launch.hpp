// SPDX-License-Identifier: MIT
// Launching: from the decision to have a worker to a process that lives as one (layer 4).
#pragma once

#include <cohort/detail/system/fork.hpp>
#include <cohort/detail/worker/identity.hpp>
#include <cohort/detail/worker/worker_main.hpp>

#include <string>

namespace cohort::detail {

/// What the master keeps of a process it has launched.
struct Launched {
    Process process;
    UniqueFd control;
    UniqueFd channel;
};

/// Tells the master why the process could not be prepared, and exits with the code by which a shell reports a command
/// that could not be run.
[[noreturn]] void report_failure(const Identity& identity, SetupError error);

/// Runs in the child and does not return, as the stack below is a copy of the parent's. `cgroup`: the folder of the
/// group that it is to be in; empty: its parent's.
[[noreturn]] void become_worker(Identity identity, const WorkerSpec& assignment, const Options& options,
                                SharedPage& page, const std::string& cgroup);

/// The same for a program that knows nothing of cohort: it has what any program is started with. The listening
/// descriptors that it inherits are from 3 on (sd_listen_fds(3)).
[[noreturn]] void become_program(Identity identity, WorkerOptions options, const std::string& cgroup);

/// Forks, unless the process is there already. Returns in the master only; throws what fork_process(), socketpair(2)
/// and make_slot_cgroup() say.
Launched launch(Identity identity, const WorkerSpec& assignment, const Options& options, SharedPage& page);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/launch.ipp>
#endif
