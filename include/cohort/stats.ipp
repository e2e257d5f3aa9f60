// SPDX-License-Identifier: MIT
// The bodies of stats.hpp (layer 1).
#pragma once

#include <cohort/stats.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cohort {

template <std::size_t n>
void add(std::array<std::uint64_t, n>& sum, const std::array<std::uint64_t, n>& other) noexcept {
    for (std::size_t i = 0; i != n; ++i) sum[i] += other[i];
}

COHORT_DECL std::uint64_t Latency::count() const noexcept {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

COHORT_DECL std::chrono::microseconds Latency::quantile(double share) const noexcept {
    const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count()));
    double below = 0;
    for (std::size_t i = 0; i != bounds.size(); ++i) {
        below += static_cast<double>(counts[i]);
        if (below > 0 && below >= wanted) return bounds[i];
    }
    return counts.back() != 0 ? std::chrono::microseconds::max() : std::chrono::microseconds(0);
}

COHORT_DECL Latency& Latency::operator+=(const Latency& other) noexcept {
    add(counts, other.counts);
    sum += other.sum;
    return *this;
}

COHORT_DECL std::string RequestInfo::describe() const {
    const std::string from = client.empty() ? "" : ", from " + detail::printable(client);
    return (what.empty() ? "(not said)" : detail::printable(what)) + ", for " + std::to_string(age.count()) + " ms" +
           from;
}

COHORT_DECL MessageCounts& MessageCounts::operator+=(const MessageCounts& other) noexcept {
    sent += other.sent;
    received += other.received;
    calls_made += other.calls_made;
    calls_received += other.calls_received;
    return *this;
}

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
        add(sum.responses, each.responses);
        sum.latency += each.latency;
        sum.messages += each.messages;
    }
    return sum;
}

COHORT_DECL WorkerStats Stats::of_generation(std::uint64_t generation) const noexcept {
    WorkerStats sum;
    sum.generation = generation;
    for (const auto& each : workers) {
        if (each.generation != generation) continue;
        sum.requests += each.requests;
        add(sum.responses, each.responses);
        sum.latency += each.latency;
        sum.messages += each.messages;
    }
    return sum;
}

} // namespace cohort
