// SPDX-License-Identifier: MIT
// PeerClient: a worker's side of getting sockets to other workers and to the bus through its master (layer 3).
#pragma once

#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/worker/accepted_peer.hpp>
#include <cohort/detail/worker/pending_requests.hpp>

#include <list>
#include <memory>
#include <optional>

namespace cohort::detail {

/// One for each worker. A socket to a peer is asked for by the peer's id.
class PeerClient {
public:
    /// `changed` is notified when the link has ended.
    PeerClient(std::shared_ptr<WorkerLink> link, Notifier& changed)
        : link_(std::move(link)), changed_(changed), requests_(link_, changed) {}

    /// A socket to another worker. Throws Errc::no_such_worker, descriptors_lost, closed.
    Task<UniqueFd> introduce(WorkerId other);
    /// A socket to the bus.
    Task<UniqueFd> connect_bus() { return reach(no_worker); }
    /// Waits for a worker that connects to this one. Empty once this one is to leave.
    COHORT_LAZY Task<std::optional<AcceptedPeer>> next_peer();

    /// When nobody waits for it any more, the other side sees the end of the socket.
    void answer(const PeerSocket& message, Packet& packet) { requests_.answer(message.request, std::move(packet)); }
    void receive(const IncomingPeer& message, Packet& packet);
    /// Called when this worker is to leave: ends next_peer(). Those that were not accepted are told by the end of their
    /// sockets: nobody will answer them.
    void stop() {
        stopping_ = true;
        accepted_peers_.clear();
        changed_.notify_all();
    }

private:
    static constexpr WorkerId no_worker = 0;               // stands for the bus
    static constexpr std::size_t most_waiting_peers = 256; // for a body that does not ask for them

    Task<UniqueFd> reach(WorkerId other);
    bool make_room_for(WorkerId visitor);

    std::shared_ptr<WorkerLink> link_;
    Notifier& changed_;
    PendingRequests<Packet> requests_;
    std::list<AcceptedPeer> accepted_peers_;
    TurnBudget turn_;
    bool stopping_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/peer_client.ipp>
#endif
