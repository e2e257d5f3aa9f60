// SPDX-License-Identifier: MIT
// Handover: connections on their way from the master to the workers of one endpoint, none of them lost (layer 3).
#pragma once

#include <cohort/detail/notifier.hpp>
#include <cohort/detail/taker.hpp>

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
class Handover : public std::enable_shared_from_this<Handover> {
public:
    Handover(const DispatchContext& context, const Endpoint& endpoint, std::unique_ptr<AnyScheduler> scheduler)
        : context_(context),
          endpoint_(endpoint),
          scheduler_(std::move(scheduler)),
          room_(context.executor),
          sweep_(context.executor) {}

    /// The worker takes part from now on; the result names its listener.
    ListenerId join(Member& member);
    /// Nothing new for this listener; what is on its way to it may still be taken or come back.
    void retire(const Member& member, ListenerId listener);
    /// Nothing new for any listener of this worker.
    void retire(const Member& member);
    /// The worker is dead: what it had not taken goes to others.
    void leave(const Member& member);

    bool has(const Member& member, ListenerId listener) const noexcept { return find(member, listener) != nullptr; }
    bool has(const Member& member) const noexcept;
    /// It has, and nobody else takes new connections.
    bool has_only(const Member& member) const noexcept;
    /// Nobody has taken part, or everybody has gone.
    bool is_empty() const noexcept { return takers_.empty(); }
    /// Somebody takes new connections.
    bool has_takers() const noexcept;
    /// The worker has not touched its own listener's queue: it gets nothing until it does.
    void set_stuck(ListenerId listener);
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    /// How many connections may be given now, by give(), without anybody exceeding its credit.
    std::size_t room();
    /// Waits until there may be room again, or until close().
    Task<> wait_room();

    /// A connection for the worker that the scheduler chooses. Beyond its credit it waits here. Sent by flush().
    void give(Passage connection);
    /// One that a worker has given back.
    void give_again(Passage connection) {
        waiting_.push_back(std::move(connection));
        look_again();
    }
    /// The same, ignoring credit, for what must go out before the end.
    void give_last(Passage connection);
    void give_waiting() {
        for (auto& connection : waiting_) give_last(std::move(connection));
        waiting_.clear();
    }
    void flush();
    /// How many have not found a worker yet.
    std::size_t waiting() const noexcept { return waiting_.size(); }

    void took(const Member& member, ListenerId listener);
    void lost(const Member& member, ListenerId listener, std::uint64_t first, std::uint32_t count);

    /// Connections that nobody could be given are closed, waits end.
    void close();
    /// close(), and the copies go too: the master itself is going.
    void abandon();
    bool is_closed() const noexcept { return closed_; }

private:
    static constexpr std::chrono::milliseconds sweep_interval{10};

    Taker* find(const Member& member, ListenerId listener) const noexcept;
    bool has_room_beside(const Taker& taker) const noexcept;
    void look_at_takers();
    void forget_candidates() noexcept {
        candidates_.clear();
        active_.clear();
    }
    bool place(Passage& connection);
    void place_waiting();
    void look_again();
    void arm_sweep();
    void drop(std::size_t index);

    DispatchContext context_;
    Endpoint endpoint_;
    std::unique_ptr<AnyScheduler> scheduler_;
    Notifier room_;
    asio::steady_timer sweep_;
    std::vector<std::unique_ptr<Taker>> takers_;
    std::vector<Candidate> candidates_; // those that take part now, as they were last looked at
    std::vector<Taker*> active_;        // the same ones
    std::deque<Passage> waiting_;
    std::size_t last_ = 0; // who got the last one of give_last()
    bool sweeping_ = false;
    bool closed_ = false;
};

inline ListenerId Handover::join(Member& member) {
    takers_.push_back(std::make_unique<Taker>(context_, member));
    // Connections may have been waiting for somebody to come; they go out once the worker knows its listener.
    asio::post(context_.executor, [self = shared_from_this()] { self->look_again(); });
    return takers_.back()->listener();
}

inline Taker* Handover::find(const Member& member, ListenerId listener) const noexcept {
    for (const auto& taker : takers_)
        if (taker->worker() == member.id && taker->listener() == listener) return taker.get();
    return nullptr;
}

inline bool Handover::has(const Member& member) const noexcept {
    return std::ranges::any_of(takers_,
                               [&](const auto& taker) { return taker->worker() == member.id && !taker->is_retired(); });
}

inline bool Handover::has_only(const Member& member) const noexcept {
    const auto is_another = [&](const auto& taker) { return taker->worker() != member.id && !taker->is_retired(); };
    return has(member) && std::ranges::none_of(takers_, is_another);
}

inline bool Handover::has_takers() const noexcept {
    return std::ranges::any_of(takers_, [](const auto& taker) { return !taker->is_retired(); });
}

inline void Handover::set_stuck(ListenerId listener) {
    for (const auto& taker : takers_)
        if (taker->listener() == listener) taker->set_stuck();
}

inline void Handover::look_at_takers() {
    forget_candidates();
    for (const auto& taker : takers_) {
        if (!taker->is_active()) continue;
        candidates_.push_back(taker->candidate());
        active_.push_back(taker.get());
    }
}

inline std::size_t Handover::room() {
    if (waiting_.empty())
        look_at_takers();
    else
        place_waiting();
    std::size_t total = 0;
    for (const auto& candidate : candidates_) total += candidate.room;
    const std::size_t most_waiting = candidates_.size() * context_.options.credit;
    return most_waiting > waiting_.size() ? std::min(total, most_waiting - waiting_.size()) : 0;
}

inline Task<> Handover::wait_room() {
    const auto self = shared_from_this();
    for (const auto& taker : takers_) taker->ask_to_tell();
    arm_sweep();
    if (room() == 0 && !closed_) co_await room_.wait();
}

/// False: the one that was chosen has no room, and the connection stays where it is.
inline bool Handover::place(Passage& connection) {
    if (candidates_.empty()) return false;
    const std::size_t index = scheduler_->choose(Arrival(connection.connection.get(), endpoint_), candidates_);
    if (index >= candidates_.size() || candidates_[index].room == 0) return false;
    --candidates_[index].room;
    ++candidates_[index].sent;
    active_[index]->assign(std::move(connection));
    return true;
}

inline void Handover::give(Passage connection) {
    if (closed_ || place(connection)) return;
    look_at_takers();
    if (!place(connection)) waiting_.push_back(std::move(connection));
}

inline void Handover::give_last(Passage connection) {
    for (std::size_t i = 0; i < takers_.size(); ++i) {
        Taker& taker = *takers_[last_++ % takers_.size()];
        if (!taker.is_retired()) return taker.assign(std::move(connection));
    }
}

inline void Handover::flush() {
    for (const auto& taker : takers_) taker->flush();
    arm_sweep();
}

inline void Handover::place_waiting() {
    look_at_takers();
    std::size_t room = 0;
    for (const auto& candidate : candidates_) room += candidate.room;
    for (auto& connection : waiting_) {
        if (room == 0) break;
        room -= place(connection) ? 1 : 0;
    }
    std::erase_if(waiting_, [](const Passage& connection) { return !connection; });
    for (const auto& taker : takers_) taker->flush();
}

inline bool Handover::has_room_beside(const Taker& taker) const noexcept {
    for (std::size_t i = 0; i < candidates_.size(); ++i)
        if (active_[i]->worker() != taker.worker() && candidates_[i].room > 0) return true;
    return false;
}

inline void Handover::look_again() {
    const auto now = std::chrono::steady_clock::now();
    look_at_takers();
    for (std::size_t i = takers_.size(); i-- > 0;) {
        Taker& taker = *takers_[i];
        taker.release_taken();
        if (!closed_ && taker.is_idle(now, context_.options.stuck_after) && has_room_beside(taker))
            taker.take_back_from_stuck(waiting_);
        if (taker.is_retired() && !taker.has_copies()) drop(i);
    }
    place_waiting();
    if (closed_ || room() > 0) room_.notify_all();
    arm_sweep();
}

inline void Handover::drop(std::size_t index) {
    forget_candidates();
    takers_.erase(takers_.begin() + static_cast<std::ptrdiff_t>(index));
}

inline void Handover::arm_sweep() {
    const bool wanted = !waiting_.empty() || room_.has_waiters();
    const bool needed =
        std::ranges::any_of(takers_, [wanted](const auto& taker) { return wanted || taker->has_copies(); });
    if (sweeping_ || !needed) return;
    sweeping_ = true;
    sweep_.expires_after(sweep_interval);
    sweep_.async_wait([self = shared_from_this()](std::error_code error) {
        self->sweeping_ = false;
        if (!error) self->look_again();
    });
}

inline void Handover::took(const Member& member, ListenerId listener) {
    Taker* const taker = find(member, listener);
    if (taker == nullptr) return;
    taker->revive();
    look_again();
}

inline void Handover::lost(const Member& member, ListenerId listener, std::uint64_t first, std::uint32_t count) {
    Taker* const taker = find(member, listener);
    if (taker == nullptr) return;
    taker->take_back_lost(first, count, waiting_);
    look_again();
}

inline void Handover::retire(const Member& member, ListenerId listener) {
    if (Taker* taker = find(member, listener)) taker->retire();
    forget_candidates();
    look_again();
}

inline void Handover::retire(const Member& member) {
    for (const auto& taker : takers_)
        if (taker->worker() == member.id) taker->retire();
    forget_candidates();
}

inline void Handover::leave(const Member& member) {
    for (std::size_t i = takers_.size(); i-- > 0;) {
        if (takers_[i]->worker() != member.id) continue;
        takers_[i]->take_back(waiting_);
        drop(i);
    }
    if (closed_) waiting_.clear();
    look_again();
}

inline void Handover::close() {
    closed_ = true;
    give_waiting();
    flush();
    room_.notify_all();
}

inline void Handover::abandon() {
    close();
    takers_.clear();
    sweep_.cancel();
}

} // namespace cohort::detail
