// SPDX-License-Identifier: MIT
// The bodies of heartbeat.hpp (layer 3).
#pragma once

#include <cohort/detail/worker/heartbeat.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL void Heartbeat::beat() {
    cell_.heartbeat.fetch_add(1, std::memory_order_relaxed);
    timer_.expire_after(interval_, action<&Heartbeat::beat>(this));
}

} // namespace cohort::detail
