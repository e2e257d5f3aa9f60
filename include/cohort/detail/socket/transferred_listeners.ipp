// SPDX-License-Identifier: MIT
// The bodies of transferred_listeners.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/transferred_listeners.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/socket/socket_file.hpp>

#include <algorithm>
#include <utility>

#include <sys/socket.h>

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

COHORT_DECL void TransferredListeners::end() {
    for (Passed& each : listeners_) {
        if (each.requested.is_tcp() || each.requested.is_unix()) ::shutdown(each.listener.get(), SHUT_RD);
        each.listener.reset();
        if (!each.requested.is_unix()) continue;
        const PathLock until_it_is_gone(each.requested.path());
        remove_stale_file(each.requested.path());
    }
    listeners_.clear();
}

COHORT_DECL UniqueFd take_listener(TransferredListeners* transferred, const Endpoint& requested, unsigned slot,
                                   bool reuse_port, int backlog) {
    UniqueFd taken = transferred == nullptr ? UniqueFd() : transferred->take(requested, slot);
    if (!taken) return taken;
    if (reuse_port) enable(taken.get(), SOL_SOCKET, SO_REUSEPORT);
    if (requested.is_tcp() || requested.is_unix()) ::listen(taken.get(), backlog);
    return taken;
}

} // namespace cohort::detail
