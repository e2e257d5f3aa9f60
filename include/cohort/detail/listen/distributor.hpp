// SPDX-License-Identifier: MIT
// Distributor: connections on their way from the master to the workers of one endpoint, none of them lost (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/listen/delivery.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace cohort::detail {

/// A worker has at most `credit` connections that it has not taken, and no more than its limit; the scheduler chooses.
/// Its listeners, if it has several here, share what it gets.
/// What a worker had not taken when it went, gave back, lost at its descriptor limit, or has not
/// touched for Options::stuck_after while others had room, goes to another.
class Distributor : public std::enable_shared_from_this<Distributor> {
public:
    Distributor(const DispatchContext& context, const Endpoint& endpoint, std::unique_ptr<AnyScheduler> scheduler);

    /// The worker gets connections from now on. Returns the number of its listener.
    ListenerId join(DispatchTarget& target);
    /// The listener gets no new connections; those on the way to it may still be taken or given back.
    void retire(const DispatchTarget& target, ListenerId listener);
    /// No listener of this worker gets new connections.
    void retire(const DispatchTarget& target);
    /// For a worker that has ended: the connections that it had not taken go to others.
    void leave(const DispatchTarget& target);

    bool has(const DispatchTarget& target, ListenerId listener) const noexcept {
        return find(target, listener) != nullptr;
    }
    bool has(const DispatchTarget& target) const noexcept;
    /// Whether this worker listens, and no other one gets new connections.
    bool has_only(const DispatchTarget& target) const noexcept;
    /// Whether no worker listens.
    bool is_empty() const noexcept { return deliveries_.empty(); }
    /// Whether some worker gets new connections.
    bool has_workers() const noexcept;
    /// How many listeners of this worker there are, and how many connections are on their way to retired ones.
    struct Held {
        std::size_t listeners = 0;
        std::size_t left = 0;
    };
    Held held(const DispatchTarget& target) noexcept;
    /// For a worker that does not accept from its own listener: it gets no connections until it does.
    void set_stuck(ListenerId listener);
    /// How many connections have begun to be served, as the worker of this listener says.
    std::uint64_t accepted(ListenerId listener) const noexcept;
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    /// How many connections give() can send now without exceeding the credit of a worker.
    std::size_t room();
    /// Waits until there may be room again, or until close().
    Task<> wait_room();

    /// A connection for the worker that the scheduler chooses. Beyond its credit it waits here. Sent by flush().
    void give(TransferredConnection connection);
    /// Sends a connection that a worker has given back.
    void give_again(TransferredConnection connection);
    /// The same without regard to credit, for what must be sent before the cluster ends.
    void give_last(TransferredConnection connection);
    void give_waiting() {
        for (auto& connection : waiting_) give_last(std::move(connection));
        waiting_.clear();
    }
    void flush();
    /// How many connections wait for a worker.
    std::size_t waiting() const noexcept { return waiting_.size(); }

    void took(const DispatchTarget& target, ListenerId listener);
    void lost(const DispatchTarget& target, ListenerId listener, std::uint64_t first, std::uint32_t count);

    /// Closes the connections that wait for a worker, and ends all waits.
    void close();
    /// close(), and closes the master's copies too, as the master ends.
    void abandon();
    bool is_closed() const noexcept { return closed_; }

private:
    static constexpr std::chrono::milliseconds sweep_interval{10};
    using Siblings = std::span<std::unique_ptr<Delivery>>; // all of one worker

    Delivery* find(const DispatchTarget& target, ListenerId listener) const noexcept;
    bool has_room_beside(const Delivery& delivery) const noexcept;
    Siblings siblings_from(std::size_t index) noexcept;
    static Delivery* next_of(Siblings siblings, bool also_inactive) noexcept;
    void look_at_deliveries();
    void forget_candidates() noexcept {
        candidates_.clear();
        active_.clear();
    }
    std::size_t choose(const TransferredConnection& connection);
    bool place(TransferredConnection& connection);
    void place_waiting();
    void look_again();
    void arm_sweep();
    void drop(std::size_t index);

    DispatchContext context_;
    Endpoint endpoint_;
    std::unique_ptr<AnyScheduler> scheduler_;
    Notifier room_;
    Timer sweep_;
    // Those of one worker are side by side; who got a connection last comes last among them.
    std::vector<std::unique_ptr<Delivery>> deliveries_;
    std::vector<Candidate> candidates_; // those that take part now, as they were last looked at
    std::vector<Siblings> active_;      // the same ones
    std::deque<TransferredConnection> waiting_;
    bool closed_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/distributor.ipp>
#endif
