// SPDX-License-Identifier: MIT
// The bodies of transferred_listeners.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/transferred_listeners.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <utility>

namespace cohort::detail {

COHORT_DECL void TransferredListeners::add(Endpoint requested, unsigned slot, UniqueFd listener) {
    listeners_.push_back({std::move(requested), slot, std::move(listener)});
}

COHORT_DECL std::vector<unsigned> TransferredListeners::slots(const Endpoint& requested) const {
    std::vector<unsigned> result;
    for (const auto& each : listeners_)
        if (each.requested == requested) result.push_back(each.slot);
    return result;
}

COHORT_DECL UniqueFd TransferredListeners::take(const Endpoint& requested, unsigned slot) {
    const auto found = std::ranges::find_if(
        listeners_, [&](const auto& each) { return each.requested == requested && each.slot == slot; });
    if (found == listeners_.end()) return {};
    UniqueFd listener = std::move(found->listener);
    listeners_.erase(found);
    return listener;
}

} // namespace cohort::detail
