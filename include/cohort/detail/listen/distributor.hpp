// SPDX-License-Identifier: MIT
// Distributor: connections on their way from the master to the workers of one endpoint, none of them lost (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/listen/delivery.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
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
    Distributor(const DispatchContext& context, const Endpoint& endpoint, std::unique_ptr<AnyScheduler> scheduler)
        : context_(context),
          endpoint_(endpoint),
          scheduler_(std::move(scheduler)),
          room_(context.executor),
          sweep_(context.executor) {}

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
    void give_again(TransferredConnection connection) {
        waiting_.push_back(std::move(connection));
        look_again();
    }
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

inline ListenerId Distributor::join(DispatchTarget& target) {
    deliveries_.push_back(std::make_unique<Delivery>(context_, target));
    // Connections may have been waiting for somebody to come; they go out once the worker knows its listener.
    asio::post(context_.executor, [self = shared_from_this()] { self->look_again(); });
    return deliveries_.back()->listener();
}

inline Delivery* Distributor::find(const DispatchTarget& target, ListenerId listener) const noexcept {
    for (const auto& delivery : deliveries_)
        if (delivery->worker() == target.id && delivery->listener() == listener) return delivery.get();
    return nullptr;
}

inline bool Distributor::has(const DispatchTarget& target) const noexcept {
    return std::ranges::any_of(
        deliveries_, [&](const auto& delivery) { return delivery->worker() == target.id && !delivery->is_retired(); });
}

inline bool Distributor::has_only(const DispatchTarget& target) const noexcept {
    const auto is_another = [&](const auto& delivery) {
        return delivery->worker() != target.id && !delivery->is_retired();
    };
    return has(target) && std::ranges::none_of(deliveries_, is_another);
}

inline bool Distributor::has_workers() const noexcept {
    return std::ranges::any_of(deliveries_, [](const auto& delivery) { return !delivery->is_retired(); });
}

inline void Distributor::set_stuck(ListenerId listener) {
    for (const auto& delivery : deliveries_)
        if (delivery->listener() == listener) delivery->set_stuck();
}

inline void Distributor::look_at_deliveries() {
    forget_candidates();
    for (const auto& delivery : deliveries_) {
        if (!delivery->is_active()) continue;
        candidates_.push_back(delivery->candidate());
        active_.push_back(delivery.get());
    }
}

inline std::size_t Distributor::room() {
    if (waiting_.empty())
        look_at_deliveries();
    else
        place_waiting();
    std::size_t total = 0;
    for (const auto& candidate : candidates_) total += candidate.room;
    const std::size_t most_waiting = candidates_.size() * context_.options.credit;
    return most_waiting > waiting_.size() ? std::min(total, most_waiting - waiting_.size()) : 0;
}

inline Task<> Distributor::wait_room() {
    const auto self = shared_from_this();
    for (const auto& delivery : deliveries_) delivery->ask_to_tell();
    arm_sweep();
    if (room() == 0 && !closed_) co_await room_.wait();
}

/// False: the one that was chosen has no room, and the connection stays where it is.
inline bool Distributor::place(TransferredConnection& connection) {
    if (candidates_.empty()) return false;
    const std::size_t index = scheduler_->choose(Arrival(connection.connection.get(), endpoint_), candidates_);
    if (index >= candidates_.size() || candidates_[index].room == 0) return false;
    --candidates_[index].room;
    ++candidates_[index].sent;
    active_[index]->assign(std::move(connection));
    return true;
}

inline void Distributor::give(TransferredConnection connection) {
    if (closed_ || place(connection)) return;
    look_at_deliveries();
    if (!place(connection)) waiting_.push_back(std::move(connection));
}

inline void Distributor::give_last(TransferredConnection connection) {
    for (std::size_t i = 0; i < deliveries_.size(); ++i) {
        Delivery& delivery = *deliveries_[last_++ % deliveries_.size()];
        if (!delivery.is_retired()) return delivery.assign(std::move(connection));
    }
}

inline void Distributor::flush() {
    for (const auto& delivery : deliveries_) delivery->flush();
    arm_sweep();
}

inline void Distributor::place_waiting() {
    look_at_deliveries();
    std::size_t room = 0;
    for (const auto& candidate : candidates_) room += candidate.room;
    for (auto& connection : waiting_) {
        if (room == 0) break;
        room -= place(connection) ? 1 : 0;
    }
    std::erase_if(waiting_, [](const TransferredConnection& connection) { return !connection; });
    for (const auto& delivery : deliveries_) delivery->flush();
}

inline bool Distributor::has_room_beside(const Delivery& delivery) const noexcept {
    for (std::size_t i = 0; i < candidates_.size(); ++i)
        if (active_[i]->worker() != delivery.worker() && candidates_[i].room > 0) return true;
    return false;
}

inline void Distributor::look_again() {
    const auto now = std::chrono::steady_clock::now();
    look_at_deliveries();
    for (std::size_t i = deliveries_.size(); i-- > 0;) {
        Delivery& delivery = *deliveries_[i];
        delivery.release_taken();
        if (!closed_ && delivery.is_idle(now, context_.options.stuck_after) && has_room_beside(delivery))
            delivery.take_back_from_stuck(waiting_);
        if (delivery.is_retired() && !delivery.has_copies()) drop(i);
    }
    place_waiting();
    if (closed_ || room() > 0) room_.notify_all();
    arm_sweep();
}

inline void Distributor::drop(std::size_t index) {
    forget_candidates();
    deliveries_.erase(deliveries_.begin() + static_cast<std::ptrdiff_t>(index));
}

inline void Distributor::arm_sweep() {
    const bool wanted = !waiting_.empty() || room_.has_waiters();
    const bool needed =
        std::ranges::any_of(deliveries_, [wanted](const auto& delivery) { return wanted || delivery->has_copies(); });
    if (sweeping_ || !needed) return;
    sweeping_ = true;
    sweep_.expires_after(sweep_interval);
    sweep_.async_wait([self = shared_from_this()](std::error_code error) {
        self->sweeping_ = false;
        if (!error) self->look_again();
    });
}

inline void Distributor::took(const DispatchTarget& target, ListenerId listener) {
    Delivery* const delivery = find(target, listener);
    if (delivery == nullptr) return;
    delivery->revive();
    look_again();
}

inline void Distributor::lost(const DispatchTarget& target, ListenerId listener, std::uint64_t first,
                              std::uint32_t count) {
    Delivery* const delivery = find(target, listener);
    if (delivery == nullptr) return;
    delivery->take_back_lost(first, count, waiting_);
    look_again();
}

inline void Distributor::retire(const DispatchTarget& target, ListenerId listener) {
    if (Delivery* delivery = find(target, listener)) delivery->retire();
    forget_candidates();
    look_again();
}

inline void Distributor::retire(const DispatchTarget& target) {
    for (const auto& delivery : deliveries_)
        if (delivery->worker() == target.id) delivery->retire();
    forget_candidates();
}

inline void Distributor::leave(const DispatchTarget& target) {
    for (std::size_t i = deliveries_.size(); i-- > 0;) {
        if (deliveries_[i]->worker() != target.id) continue;
        deliveries_[i]->take_back(waiting_);
        drop(i);
    }
    if (closed_) waiting_.clear();
    look_again();
}

inline void Distributor::close() {
    closed_ = true;
    give_waiting();
    flush();
    room_.notify_all();
}

inline void Distributor::abandon() {
    close();
    deliveries_.clear();
    sweep_.cancel();
}

} // namespace cohort::detail
