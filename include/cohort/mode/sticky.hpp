// SPDX-License-Identifier: MIT
// Sticky: the master accepts, and connections of one client go to one worker (layer 3).
#pragma once

#include <cohort/mode/scheduled.hpp>

namespace cohort {

/// For what a worker keeps of its clients in memory. A connection waits for its worker when that has no room; only when
/// the worker is stuck, or its slot is empty, another one gets it. `Key` is a ConnectionKey: equal keys, equal slots.
template <class Key = ClientAddress>
struct Sticky : Scheduled<ByKey<Key>> {
    static constexpr const char* name = "sticky";
};

static_assert(Mode<Sticky<>>);

} // namespace cohort
