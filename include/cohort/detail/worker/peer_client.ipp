// SPDX-License-Identifier: MIT
// The bodies of peer_client.hpp (layer 3).
#pragma once

#include <cohort/detail/worker/peer_client.hpp>

#include <cohort/detail/config.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>

namespace cohort::detail {

COHORT_DECL Task<UniqueFd> PeerClient::introduce(WorkerId other) {
    if (other == no_worker) throw std::system_error(make_error_code(Errc::no_such_worker));
    return reach(other);
}

/// Not in the coroutine: GCC 12 destroys what only one branch of an expression has made.
COHORT_DECL void throw_refusal(const PeerSocket& answer, WorkerId other) {
    const std::string whom = other == 0 ? "the bus" : "worker " + std::to_string(other);
    if (const auto error = error_of(answer)) throw std::system_error(error, whom);
}

COHORT_DECL Task<UniqueFd> PeerClient::reach(WorkerId other) {
    PendingRequests<Packet>::Request request(requests_);
    link_->send(ConnectPeer{request.number(), other});
    co_await request.wait();
    auto& answer = request.answer();
    throw_refusal(answer.read<PeerSocket>(), other);
    if (answer.descriptors_lost) throw std::system_error(make_error_code(Errc::descriptors_lost));
    if (answer.descriptors.empty())
        throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(other));
    co_return std::move(answer.descriptors.front());
}

/// Whoever has most in line loses the last of these, so that one worker cannot shut out the others. False: the visitor
/// has as many.
COHORT_DECL bool PeerClient::make_room_for(WorkerId visitor) {
    std::map<WorkerId, std::size_t> in_line;
    for (const AcceptedPeer& peer : accepted_peers_) ++in_line[peer.from];
    const auto [greediest, most] = *std::ranges::max_element(in_line, {}, [](const auto& one) { return one.second; });
    if (in_line[visitor] >= most) return false;
    const auto last =
        std::ranges::find(accepted_peers_.rbegin(), accepted_peers_.rend(), greediest, &AcceptedPeer::from);
    accepted_peers_.erase(std::prev(last.base()));
    return true;
}

COHORT_DECL void PeerClient::receive(const IncomingPeer& message, Packet& packet) {
    if (packet.descriptors.empty() || stopping_) return;
    if (accepted_peers_.size() == most_waiting_peers && !make_room_for(message.from)) return;
    accepted_peers_.push_back({message.from, std::move(packet.descriptors.front())});
    changed_.notify_all();
}

COHORT_LAZY COHORT_DECL Task<std::optional<AcceptedPeer>> PeerClient::next_peer() {
    const bool steady = co_await switched();
    if (!steady || turn_.is_over()) {
        co_await turn_.let_others_go_on();
    }
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
        turn_.begin();
    }
}

} // namespace cohort::detail
