// SPDX-License-Identifier: MIT
// Distributor: connections on their way from the master to the workers of one endpoint, none of them lost (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/listen/delivery.hpp>

#include <asio/steady_timer.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <vector>

namespace cohort::detail {

/// A worker has at most `credit` connections that it has not taken, and no more than its limit; the scheduler chooses.
/// What a worker had not taken when it went, gave back, lost at its descriptor limit, or has not
/// touched for Options::stuck_after while others had room, goes to another.
class Distributor : public std::enable_shared_from_this<Distributor> {
public:
    Distributor(const DispatchContext& context, const Endpoint& endpoint, std::unique_ptr<AnyScheduler> scheduler);

    /// The worker takes part from now on; the result names its listener.
    ListenerId join(DispatchTarget& target);
    /// Nothing new for this listener; what is on its way to it may still be taken or come back.
    void retire(const DispatchTarget& target, ListenerId listener);
    /// Nothing new for any listener of this worker.
    void retire(const DispatchTarget& target);
    /// The worker is dead: what it had not taken goes to others.
    void leave(const DispatchTarget& target);

    bool has(const DispatchTarget& target, ListenerId listener) const noexcept {
        return find(target, listener) != nullptr;
    }
    bool has(const DispatchTarget& target) const noexcept;
    /// It has, and nobody else takes new connections.
    bool has_only(const DispatchTarget& target) const noexcept;
    /// Nobody has taken part, or everybody has gone.
    bool is_empty() const noexcept { return deliveries_.empty(); }
    /// Somebody takes new connections.
    bool has_workers() const noexcept;
    /// The worker has not touched its own listener's queue: it gets nothing until it does.
    void set_stuck(ListenerId listener);
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    /// How many connections may be given now, by give(), without anybody exceeding its credit.
    std::size_t room();
    /// Waits until there may be room again, or until close().
    Task<> wait_room();

    /// A connection for the worker that the scheduler chooses. Beyond its credit it waits here. Sent by flush().
    void give(TransferredConnection connection);
    /// One that a worker has given back.
    void give_again(TransferredConnection connection);
    /// The same, ignoring credit, for what must go out before the end.
    void give_last(TransferredConnection connection);
    void give_waiting() {
        for (auto& connection : waiting_) give_last(std::move(connection));
        waiting_.clear();
    }
    void flush();
    /// How many have not found a worker yet.
    std::size_t waiting() const noexcept { return waiting_.size(); }

    void took(const DispatchTarget& target, ListenerId listener);
    void lost(const DispatchTarget& target, ListenerId listener, std::uint64_t first, std::uint32_t count);

    /// Connections that nobody could be given are closed, waits end.
    void close();
    /// close(), and the copies go too: the master itself is going.
    void abandon();
    bool is_closed() const noexcept { return closed_; }

private:
    static constexpr std::chrono::milliseconds sweep_interval{10};

    Delivery* find(const DispatchTarget& target, ListenerId listener) const noexcept;
    bool has_room_beside(const Delivery& delivery) const noexcept;
    void look_at_deliveries();
    void forget_candidates() noexcept {
        candidates_.clear();
        active_.clear();
    }
    bool place(TransferredConnection& connection);
    void place_waiting();
    void look_again();
    void arm_sweep();
    void drop(std::size_t index);

    DispatchContext context_;
    Endpoint endpoint_;
    std::unique_ptr<AnyScheduler> scheduler_;
    Notifier room_;
    asio::steady_timer sweep_;
    std::vector<std::unique_ptr<Delivery>> deliveries_;
    std::vector<Candidate> candidates_; // those that take part now, as they were last looked at
    std::vector<Delivery*> active_;     // the same ones
    std::deque<TransferredConnection> waiting_;
    std::size_t last_ = 0; // who got the last one of give_last()
    bool sweeping_ = false;
    bool closed_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/distributor.ipp>
#endif
