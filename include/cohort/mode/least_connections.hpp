// SPDX-License-Identifier: MIT
// LeastConnections: the master accepts, and the worker with the fewest connections gets the next (layer 3).
#pragma once

#include <cohort/mode/scheduled.hpp>

namespace cohort {

/// For connections that differ much in what they cost, and for workers of which one may be slower than the others. What
/// a worker has is counted where the master sees it without a message (SlotStats::open).
struct LeastConnections : Scheduled<Fewest> {
    static constexpr const char* name = "least-connections";
};

static_assert(Mode<LeastConnections>);

} // namespace cohort
