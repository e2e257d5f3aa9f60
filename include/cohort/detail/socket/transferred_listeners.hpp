// SPDX-License-Identifier: MIT
// TransferredListeners: listening sockets that the master before this one has left to it (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>

#include <vector>

namespace cohort::detail {

/// Their queues go on as if nothing had happened. What nobody asks for is closed with it.
class TransferredListeners {
public:
    void add(Endpoint requested, unsigned slot, UniqueFd listener);

    /// The slots that have one of this endpoint, as it was asked for.
    std::vector<unsigned> slots(const Endpoint& requested) const;
    /// Empty: there is none.
    UniqueFd take(const Endpoint& requested, unsigned slot);
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

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/transferred_listeners.ipp>
#endif
