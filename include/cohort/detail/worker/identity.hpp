// SPDX-License-Identifier: MIT
// Who this process is in its cluster, and how a program that was started anew learns it (layer 4).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/event.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::detail {

/// What a worker process knows when it starts.
struct Identity {
    WorkerId id = 0;
    unsigned slot = 0;
    std::uint32_t cell = 0; // SharedPage::worker
    pid_t master = 0;
    int control = -1;
    int channel = -1;
    int page = -1; // for a program started anew: what all have in common
    int part = -1; // and what this worker alone may write
    bool dumpable = true;
    std::uint64_t generation = 0; // how many reloads had begun
    std::vector<int> inherited;

    std::vector<int> descriptors() const;
};

inline constexpr const char* identity_variable = "COHORT_WORKER";

/// Blank-separated numbers in the order of the members.
std::string to_string(const Identity& identity);

std::optional<std::vector<long>> parse_numbers(std::string_view text);

std::optional<Identity> parse_identity(std::string_view text);

/// From the environment, which is cleared at once: programs that the worker starts are not part of the cluster, and get
/// none of its descriptors.
std::optional<Identity> take_identity_from_environment();

/// Of a program that was started as a worker: until Master::spawn() takes it up. Read before main().
extern std::optional<Identity> pending_identity;

/// Whether this process is a worker.
extern bool in_worker;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/identity.ipp>
#endif
