// SPDX-License-Identifier: MIT
// The surroundings of a new process: directory, environment, CPUs, limits, user (layer 2).
#pragma once

#include <cohort/worker_options.hpp>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::detail {

/// A step of prepare_process() that the system refused.
struct SetupError {
    int system_error = 0;
    const char* step = "";
};

/// The first step: gives the wanted descriptors their numbers. `own`: descriptors of the toolkit, which are moved out
/// of the way; `fixed`: those that cannot be.
std::optional<SetupError> place_descriptors(const std::map<int, int>& wanted, std::span<int* const> own,
                                            std::span<const int> fixed);

/// The CPUs that this thread may use: sched_getaffinity(2).
std::vector<unsigned> usable_cpus();

std::optional<SetupError> choose_cpus(const WorkerOptions& options, unsigned slot);

std::optional<SetupError> limit_resources(const WorkerOptions& options) noexcept;

std::optional<SetupError> take_identity(const WorkerOptions& options) noexcept;

/// Whether one of `kept` names it, or begins it before a `*` at its end.
bool is_kept(std::string_view name, std::span<const std::string> kept);

/// Root and working folder.
std::optional<SetupError> choose_folder(const WorkerOptions& options) noexcept;

std::optional<SetupError> choose_environment(const WorkerOptions& options);

/// In the child: a process group of its own (Ctrl-C then reaches the master alone), directory, environment, CPUs and
/// limits, and user: last, since afterwards less is permitted.
std::optional<SetupError> prepare_process(const WorkerOptions& options, unsigned slot = 0);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/process_setup.ipp>
#endif
