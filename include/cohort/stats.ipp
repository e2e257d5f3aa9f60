// SPDX-License-Identifier: MIT
// The bodies of stats.hpp (layer 1).
#pragma once

#include <cohort/stats.hpp>

#include <cohort/detail/config.hpp>

namespace cohort {

COHORT_DECL std::uint64_t Stats::load() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& slot : slots) sum += slot.open;
    for (const auto& queue : queues) sum += queue.length;
    return sum;
}

COHORT_DECL SlotStats Stats::total() const noexcept {
    SlotStats sum;
    for (const auto& each : slots) {
        sum.accepted += each.accepted;
        sum.delivered += each.delivered;
        sum.redelivered += each.redelivered;
        sum.refused += each.refused;
        sum.handed_over += each.handed_over;
        sum.open += each.open;
        sum.requests += each.requests;
    }
    return sum;
}

} // namespace cohort
