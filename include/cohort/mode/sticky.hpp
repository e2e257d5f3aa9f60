// SPDX-License-Identifier: MIT
// Sticky: the master accepts, and connections of one client go to one worker (layer 3).
#pragma once

#include <cohort/mode/scheduled.hpp>

namespace cohort {

/// For state that a worker keeps in memory for its clients. A connection waits while its worker has no room; only if
/// the worker is stuck, or its slot empty, another one gets it. `Key` is a ConnectionKey: equal keys, equal slots.
template <class Key = ClientAddress>
struct Sticky : Scheduled<ByKey<Key>> {
    static constexpr const char* name = "sticky";
};

static_assert(Mode<Sticky<>>);

} // namespace cohort
