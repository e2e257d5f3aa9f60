// SPDX-License-Identifier: MIT
// LeastConnections: the master accepts, and the worker with the fewest connections gets the next (layer 3).
#pragma once

#include <cohort/mode/scheduled.hpp>

namespace cohort {

/// For connections of very different cost, and for workers of different speed. A worker's connections are counted in
/// memory that the master shares (SlotStats::open), by the worker itself: one that was taken over and says that it has
/// none draws connections to itself. RoundRobin gives it no more than its turn.
struct LeastConnections : Scheduled<Fewest> {
    static constexpr const char* name = "least-connections";
};

static_assert(Mode<LeastConnections>);

} // namespace cohort
