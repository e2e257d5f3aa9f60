// SPDX-License-Identifier: MIT
// The bodies of heartbeat.hpp (layer 3).
#pragma once

#include <cohort/detail/worker/heartbeat.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace cohort::detail {

COHORT_DECL void Heartbeat::beat() {
    using std::chrono::microseconds;
    const auto now = Timer::Clock::now();
    const auto late = std::chrono::duration_cast<microseconds>(now - due_).count();
    constexpr auto most = std::int64_t{std::numeric_limits<std::uint32_t>::max()};
    if (due_ != Timer::Clock::time_point{})
        cell_.lag.store(static_cast<std::uint32_t>(std::clamp<std::int64_t>(late, 0, most)), std::memory_order_relaxed);
    due_ = now + interval_;
    cell_.heartbeat.fetch_add(1, std::memory_order_relaxed);
    timer_.expire_after(interval_, action<&Heartbeat::beat>(this));
}

} // namespace cohort::detail
