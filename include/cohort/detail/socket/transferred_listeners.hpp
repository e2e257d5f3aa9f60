// SPDX-License-Identifier: MIT
// TransferredListeners: listening sockets passed on by the previous master (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>

#include <vector>

namespace cohort::detail {

/// Their accept queues are preserved. Listeners that nobody takes are closed with it.
class TransferredListeners {
public:
    void add(Endpoint requested, unsigned slot, UniqueFd listener);

    /// The slots that have one of this endpoint, as it was asked for.
    std::vector<unsigned> slots(const Endpoint& requested) const;
    /// Empty: there is none.
    UniqueFd take(const Endpoint& requested, unsigned slot);
    /// For those that are left, at which clients would wait for nobody: they listen no more, in no process, and have no
    /// file. One that came from elsewhere is only closed.
    void end();

    struct Passed {
        Endpoint requested;
        unsigned slot;
        UniqueFd listener;
    };
    /// That nobody has taken.
    const std::vector<Passed>& all() const noexcept { return listeners_; }

private:
    std::vector<Passed> listeners_;
};

/// One of them as this master wants it: the one before may have had another mode, or backlog. Of a socket that came
/// from elsewhere the backlog stays. Empty: there is none.
UniqueFd take_listener(TransferredListeners* transferred, const Endpoint& requested, unsigned slot, bool reuse_port,
                       int backlog);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/transferred_listeners.ipp>
#endif
