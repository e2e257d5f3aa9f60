// SPDX-License-Identifier: MIT
// Introductions: a worker's side of getting sockets to other workers and to the bus through its master (layer 3).
#pragma once

#include <cohort/detail/requests.hpp>

#include <asio/post.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <string>

namespace cohort::detail {

/// Another worker's socket to this one.
struct Visit {
    WorkerId from = 0;
    UniqueFd socket;
};

class Introductions {
public:
    /// `changed` is notified when the link has ended.
    Introductions(std::shared_ptr<WorkerLink> link, Notifier& changed)
        : link_(std::move(link)), changed_(changed), requests_(link_, changed) {}

    /// A socket to another worker. Throws Errc::no_such_worker, descriptors_lost, closed.
    Task<UniqueFd> introduce(WorkerId other) {
        if (other == no_worker) throw std::system_error(make_error_code(Errc::no_such_worker));
        return reach(other);
    }
    /// A socket to the bus.
    Task<UniqueFd> connect_bus() { return reach(no_worker); }
    /// A worker that wants to talk to this one; nothing once this one is to leave.
    Task<std::optional<Visit>> next_visit();

    /// When nobody waits for it any more, the other side sees the end of the socket.
    void answer(const Introduced& message, Packet<FromMaster>& packet) {
        requests_.answer(message.request, std::move(packet));
    }
    void receive(const Visitor& message, Packet<FromMaster>& packet);
    /// This worker is to leave.
    void stop() {
        stopping_ = true;
        changed_.notify_all();
    }

private:
    static constexpr WorkerId no_worker = 0;        // stands for the bus
    static constexpr std::size_t most_visits = 256; // for a body that does not ask for them

    Task<UniqueFd> reach(WorkerId other);

    std::shared_ptr<WorkerLink> link_;
    Notifier& changed_;
    Requests<Packet<FromMaster>> requests_;
    std::deque<Visit> visits_;
    bool stopping_ = false;
};

inline Task<UniqueFd> Introductions::reach(WorkerId other) {
    Requests<Packet<FromMaster>>::Request request(requests_);
    link_->send(Introduce{request.number(), other});
    co_await request.wait();
    auto& answer = request.answer();
    if (const int error = std::get<Introduced>(answer.message).error; error != 0)
        throw std::system_error(error, std::system_category(), "worker " + std::to_string(other));
    if (answer.descriptors_lost) throw std::system_error(make_error_code(Errc::descriptors_lost));
    if (answer.descriptors.empty())
        throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(other));
    co_return std::move(answer.descriptors.front());
}

inline void Introductions::receive(const Visitor& message, Packet<FromMaster>& packet) {
    if (packet.descriptors.empty() || stopping_ || visits_.size() == most_visits) return;
    visits_.push_back({message.from, std::move(packet.descriptors.front())});
    changed_.notify_all();
}

inline Task<std::optional<Visit>> Introductions::next_visit() {
    const bool steady = co_await switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (!visits_.empty()) {
            std::optional<Visit> visit(std::move(visits_.front()));
            visits_.pop_front();
            co_return visit;
        }
        if (stopping_) co_return std::nullopt;
        co_await changed_.wait();
    }
}

} // namespace cohort::detail
