// SPDX-License-Identifier: MIT
// TransferredListeners: listening sockets that the master before this one has left to it (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace cohort::detail {

/// Their queues go on as if nothing had happened. What nobody asks for is closed with it.
class TransferredListeners {
public:
    void add(Endpoint requested, unsigned slot, UniqueFd listener) {
        listeners_.push_back({std::move(requested), slot, std::move(listener)});
    }

    /// The slots that have one of this endpoint, as it was asked for.
    std::vector<unsigned> slots(const Endpoint& requested) const {
        std::vector<unsigned> result;
        for (const auto& each : listeners_)
            if (each.requested == requested) result.push_back(each.slot);
        return result;
    }
    /// Empty: there is none.
    UniqueFd take(const Endpoint& requested, unsigned slot) {
        const auto found = std::ranges::find_if(
            listeners_, [&](const auto& each) { return each.requested == requested && each.slot == slot; });
        if (found == listeners_.end()) return {};
        UniqueFd listener = std::move(found->listener);
        listeners_.erase(found);
        return listener;
    }
    void clear() noexcept { listeners_.clear(); }

private:
    struct Passed {
        Endpoint requested;
        unsigned slot;
        UniqueFd listener;
    };

    std::vector<Passed> listeners_;
};

} // namespace cohort::detail
