// SPDX-License-Identifier: MIT
// PeerClient: a worker's side of getting sockets to other workers and to the bus through its master (layer 3).
#pragma once

#include <cohort/detail/worker/pending_requests.hpp>

#include <asio/post.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <string>

namespace cohort::detail {

/// Another worker's socket to this one.
struct AcceptedPeer {
    WorkerId from = 0;
    UniqueFd socket;
};

class PeerClient {
public:
    /// `changed` is notified when the link has ended.
    PeerClient(std::shared_ptr<WorkerLink> link, Notifier& changed)
        : link_(std::move(link)), changed_(changed), requests_(link_, changed) {}

    /// A socket to another worker. Throws Errc::no_such_worker, descriptors_lost, closed.
    Task<UniqueFd> introduce(WorkerId other) {
        if (other == no_worker) throw std::system_error(make_error_code(Errc::no_such_worker));
        return reach(other);
    }
    /// A socket to the bus.
    Task<UniqueFd> connect_bus() { return reach(no_worker); }
    /// A worker that wants to talk to this one; nothing once this one is to leave.
    Task<std::optional<AcceptedPeer>> next_peer();

    /// When nobody waits for it any more, the other side sees the end of the socket.
    void answer(const PeerSocket& message, Packet<FromMaster>& packet) {
        requests_.answer(message.request, std::move(packet));
    }
    void receive(const IncomingPeer& message, Packet<FromMaster>& packet);
    /// This worker is to leave.
    void stop() {
        stopping_ = true;
        changed_.notify_all();
    }

private:
    static constexpr WorkerId no_worker = 0;               // stands for the bus
    static constexpr std::size_t most_waiting_peers = 256; // for a body that does not ask for them

    Task<UniqueFd> reach(WorkerId other);

    std::shared_ptr<WorkerLink> link_;
    Notifier& changed_;
    PendingRequests<Packet<FromMaster>> requests_;
    std::deque<AcceptedPeer> accepted_peers_;
    bool stopping_ = false;
};

inline Task<UniqueFd> PeerClient::reach(WorkerId other) {
    PendingRequests<Packet<FromMaster>>::Request request(requests_);
    link_->send(ConnectPeer{request.number(), other});
    co_await request.wait();
    auto& answer = request.answer();
    if (const int error = std::get<PeerSocket>(answer.message).error; error != 0)
        throw std::system_error(error, std::system_category(), "worker " + std::to_string(other));
    if (answer.descriptors_lost) throw std::system_error(make_error_code(Errc::descriptors_lost));
    if (answer.descriptors.empty())
        throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(other));
    co_return std::move(answer.descriptors.front());
}

inline void PeerClient::receive(const IncomingPeer& message, Packet<FromMaster>& packet) {
    if (packet.descriptors.empty() || stopping_ || accepted_peers_.size() == most_waiting_peers) return;
    accepted_peers_.push_back({message.from, std::move(packet.descriptors.front())});
    changed_.notify_all();
}

inline Task<std::optional<AcceptedPeer>> PeerClient::next_peer() {
    const bool steady = co_await switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (!accepted_peers_.empty()) {
            std::optional<AcceptedPeer> visit(std::move(accepted_peers_.front()));
            accepted_peers_.pop_front();
            co_return visit;
        }
        if (stopping_) co_return std::nullopt;
        co_await changed_.wait();
    }
}

} // namespace cohort::detail
