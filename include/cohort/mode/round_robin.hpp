// SPDX-License-Identifier: MIT
// RoundRobin: the master accepts and hands the connections to the workers in turn (layer 3).
#pragma once

#include <cohort/mode/scheduled.hpp>

namespace cohort {

/// Even distribution, and the default.
struct RoundRobin : Scheduled<InTurn> {
    static constexpr const char* name = "round-robin";
};

static_assert(Mode<RoundRobin>);

} // namespace cohort
