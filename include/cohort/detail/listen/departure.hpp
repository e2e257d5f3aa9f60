// SPDX-License-Identifier: MIT
// Departure: in which way a worker leaves, as its listeners are to know it (layer 3).
#pragma once

#include <chrono>

namespace cohort::detail {

struct Departure {
    bool others_go_on = false; ///< it leaves, and clients that connect again find another worker
    std::chrono::steady_clock::time_point patience_ends{}; ///< see Listener::patience
};

} // namespace cohort::detail
