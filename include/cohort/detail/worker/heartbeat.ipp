// SPDX-License-Identifier: MIT
// The bodies of heartbeat.hpp (layer 3).
#pragma once

#include <cohort/detail/worker/heartbeat.hpp>

#include <cohort/detail/config.hpp>

#include <system_error>

namespace cohort::detail {

COHORT_DECL void Heartbeat::beat() {
    cell_.heartbeat.fetch_add(1, std::memory_order_relaxed);
    timer_.expires_after(interval_);
    timer_.async_wait([this](std::error_code error) {
        if (!error) beat();
    });
}

} // namespace cohort::detail
