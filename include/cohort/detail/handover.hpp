// SPDX-License-Identifier: MIT
// Handover: connections on their way from the master to the workers of one endpoint, none of them lost (layer 3).
#pragma once

#include <cohort/detail/notifier.hpp>
#include <cohort/mode.hpp>
#include <cohort/scheduler.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <vector>

namespace cohort::detail {

/// The master keeps a copy of every connection until the worker has taken it, which it learns from a counter in the
/// shared page. A worker has at most `credit` connections that it has not taken, and no more than its limit; the
/// scheduler chooses. What a worker had not taken when it went, gave back, lost at its descriptor limit, or has not
/// touched for Options::stuck_after while others had room, goes to another.
class Handover : public std::enable_shared_from_this<Handover> {
public:
    using Clock = std::chrono::steady_clock;

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
    void give(UniqueFd connection);
    /// One that a worker has given back.
    void give_again(UniqueFd connection) {
        waiting_.push_back(std::move(connection));
        look_again();
    }
    /// The same, ignoring credit, for what must go out before the end.
    void give_last(UniqueFd connection);
    void flush();

    void took(const Member& member, ListenerId listener);
    void lost(const Member& member, ListenerId listener, std::uint64_t first, std::uint32_t count);

    /// Connections that nobody could be given are closed, waits end.
    void close();
    /// close(), and the copies go too: the master itself is going.
    void abandon();
    bool is_closed() const noexcept { return closed_; }

private:
    static constexpr std::chrono::milliseconds sweep_interval{10};
    static constexpr std::chrono::milliseconds rest_after_loss{50};

    struct Taker {
        WorkerId worker = 0;
        unsigned slot = 0;
        std::uint32_t cell = 0;
        ListenerId listener = 0;
        SlotStats* stats = nullptr;
        std::shared_ptr<MasterLink> link;
        std::uint64_t sent = 0;      // connections sent, ever
        std::deque<UniqueFd> copies; // of the last ones sent; an empty one was settled otherwise
        std::size_t unsent = 0;      // how many at the end of `copies` wait for flush()
        bool retired = false;
        bool stuck = false;
        std::uint64_t seen = 0; // `taken` when it last moved, or `accepted` when it got stuck
        Clock::time_point moved{};
        Clock::time_point rests_until{};
    };

    Taker* find(const Member& member, ListenerId listener) const noexcept;
    std::uint64_t outstanding(const Taker& taker) const noexcept;
    bool is_active(Taker& taker) const noexcept;
    std::uint32_t room_of(const Taker& taker, std::uint32_t open, std::uint64_t sent) const noexcept;
    bool has_room_beside(const Taker& taker) const noexcept;
    void look_at_takers();
    void forget_candidates() noexcept {
        candidates_.clear();
        active_.clear();
    }
    bool place(UniqueFd& connection);
    void assign(Taker& taker, UniqueFd connection);
    void send_batch(Taker& taker);
    void release_taken(Taker& taker);
    void rescue(Taker& taker);
    void rescue_from_stuck(Taker& taker, Clock::time_point now);
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
    std::deque<UniqueFd> waiting_;
    std::size_t last_ = 0; // who got the last one of give_last()
    bool sweeping_ = false;
    bool closed_ = false;
};

inline ListenerId Handover::join(Member& member) {
    auto taker = std::make_unique<Taker>();
    taker->worker = member.id;
    taker->slot = member.slot;
    taker->cell = member.cell;
    taker->listener = context_.page.acquire();
    taker->stats = &context_.ledger[member.slot];
    taker->link = member.link;
    takers_.push_back(std::move(taker));
    // Connections may have been waiting for somebody to come; they go out once the worker knows its listener.
    asio::post(context_.executor, [self = shared_from_this()] { self->look_again(); });
    return takers_.back()->listener;
}

inline Handover::Taker* Handover::find(const Member& member, ListenerId listener) const noexcept {
    for (const auto& taker : takers_)
        if (taker->worker == member.id && taker->listener == listener) return taker.get();
    return nullptr;
}

inline bool Handover::has(const Member& member) const noexcept {
    return std::ranges::any_of(takers_,
                               [&](const auto& taker) { return taker->worker == member.id && !taker->retired; });
}

inline bool Handover::has_takers() const noexcept {
    return std::ranges::any_of(takers_, [](const auto& taker) { return !taker->retired; });
}

inline std::uint64_t Handover::outstanding(const Taker& taker) const noexcept {
    // A worker that writes nonsense to its cell must not gain credit by it.
    const std::uint64_t taken = context_.page[taker.listener].taken.load(std::memory_order_seq_cst);
    return taken > taker.sent ? taker.copies.size() : taker.sent - taken;
}

/// A stuck one takes part again when it has served something by itself.
inline bool Handover::is_active(Taker& taker) const noexcept {
    if (taker.stuck && context_.page[taker.listener].accepted.load(std::memory_order_relaxed) != taker.seen)
        taker.stuck = false;
    if (taker.retired || taker.stuck) return false;
    return taker.rests_until.time_since_epoch().count() == 0 || taker.rests_until <= Clock::now();
}

inline std::uint32_t Handover::room_of(const Taker& taker, std::uint32_t open, std::uint64_t sent) const noexcept {
    const std::uint32_t limit = context_.page.worker(taker.cell).limit.load(std::memory_order_relaxed);
    const std::uint64_t by_limit = limit > open + sent ? limit - open - sent : 0;
    const std::uint64_t by_credit = context_.options.credit > sent ? context_.options.credit - sent : 0;
    return static_cast<std::uint32_t>(std::min(by_limit, by_credit));
}

inline void Handover::look_at_takers() {
    forget_candidates();
    for (const auto& taker : takers_) {
        if (!is_active(*taker)) continue;
        const std::uint32_t open = context_.page.worker(taker->cell).open.load(std::memory_order_relaxed);
        const std::uint64_t sent = outstanding(*taker);
        candidates_.push_back({.worker = taker->worker,
                               .slot = taker->slot,
                               .open = open,
                               .sent = static_cast<std::uint32_t>(sent),
                               .room = room_of(*taker, open, sent)});
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
    for (const auto& taker : takers_) context_.page[taker->listener].wanted.store(1, std::memory_order_seq_cst);
    arm_sweep();
    if (room() == 0 && !closed_) co_await room_.wait();
}

/// False: the one that was chosen has no room, and the connection stays where it is.
inline bool Handover::place(UniqueFd& connection) {
    if (candidates_.empty()) return false;
    const std::size_t index = scheduler_->choose(Arrival(connection.get(), endpoint_), candidates_);
    if (index >= candidates_.size() || candidates_[index].room == 0) return false;
    --candidates_[index].room;
    ++candidates_[index].sent;
    assign(*active_[index], std::move(connection));
    return true;
}

inline void Handover::assign(Taker& taker, UniqueFd connection) {
    release_taken(taker);
    if (taker.copies.empty()) taker.moved = Clock::now();
    taker.copies.push_back(std::move(connection));
    ++taker.sent;
    ++taker.stats->handed_over;
    if (++taker.unsent == max_passed) send_batch(taker);
}

inline void Handover::give(UniqueFd connection) {
    if (closed_) return;
    if (place(connection)) return;
    look_at_takers();
    if (!place(connection)) waiting_.push_back(std::move(connection));
}

inline void Handover::give_last(UniqueFd connection) {
    for (std::size_t i = 0; i < takers_.size(); ++i) {
        Taker& taker = *takers_[last_++ % takers_.size()];
        if (!taker.retired) return assign(taker, std::move(connection));
    }
}

inline void Handover::flush() {
    for (const auto& taker : takers_) send_batch(*taker);
    arm_sweep();
}

inline void Handover::send_batch(Taker& taker) {
    if (taker.unsent == 0) return;
    std::array<int, max_passed> descriptors{};
    const std::size_t begin = taker.copies.size() - taker.unsent;
    for (std::size_t i = 0; i < taker.unsent; ++i) descriptors[i] = taker.copies[begin + i].get();
    taker.link->send(Connections{taker.listener, taker.sent - taker.unsent, static_cast<std::uint32_t>(taker.unsent)},
                     std::span<const int>(descriptors).first(taker.unsent));
    taker.unsent = 0;
}

/// Closes the copies of what the worker has taken. Until then its close alone would send no FIN.
inline void Handover::release_taken(Taker& taker) {
    const std::uint64_t keep = outstanding(taker);
    while (taker.copies.size() > keep) taker.copies.pop_front();
}

inline void Handover::place_waiting() {
    look_at_takers();
    for (auto& connection : waiting_) place(connection);
    std::erase_if(waiting_, [](const UniqueFd& connection) { return !connection; });
    for (const auto& taker : takers_) send_batch(*taker);
}

/// What the worker has not taken looks for another.
inline void Handover::rescue(Taker& taker) {
    for (auto& copy : taker.copies) {
        if (!copy || closed_) continue;
        waiting_.push_back(std::move(copy));
        ++taker.stats->rescued;
    }
    taker.copies.clear();
}

inline bool Handover::has_room_beside(const Taker& taker) const noexcept {
    for (std::size_t i = 0; i < candidates_.size(); ++i)
        if (active_[i]->worker != taker.worker && candidates_[i].room > 0) return true;
    return false;
}

/// Both sides move the counter by compare-and-swap, so a connection is never served twice.
inline void Handover::rescue_from_stuck(Taker& taker, Clock::time_point now) {
    if (taker.copies.empty()) return;
    Cell& cell = context_.page[taker.listener];
    std::uint64_t taken = cell.taken.load(std::memory_order_seq_cst);
    if (taken != taker.seen) {
        taker.seen = taken;
        taker.moved = now;
    }
    if (now - taker.moved < context_.options.stuck_after || !has_room_beside(taker)) return;
    if (!cell.taken.compare_exchange_strong(taken, taker.sent, std::memory_order_seq_cst)) return;
    rescue(taker);
    set_stuck(taker.listener);
}

inline void Handover::set_stuck(ListenerId listener) {
    for (const auto& taker : takers_) {
        if (taker->listener != listener) continue;
        taker->stuck = true;
        taker->seen = context_.page[listener].accepted.load(std::memory_order_relaxed);
    }
}

inline void Handover::look_again() {
    const auto now = Clock::now();
    look_at_takers();
    for (std::size_t i = takers_.size(); i-- > 0;) {
        Taker& taker = *takers_[i];
        release_taken(taker);
        rescue_from_stuck(taker, now);
        if (taker.retired && taker.copies.empty()) drop(i);
    }
    place_waiting();
    if (closed_ || room() > 0) room_.notify_all();
    arm_sweep();
}

inline void Handover::drop(std::size_t index) {
    context_.page.release(takers_[index]->listener);
    forget_candidates();
    takers_.erase(takers_.begin() + static_cast<std::ptrdiff_t>(index));
}

inline void Handover::arm_sweep() {
    const bool wanted = !waiting_.empty() || room_.has_waiters();
    const bool needed =
        std::ranges::any_of(takers_, [wanted](const auto& taker) { return wanted || !taker->copies.empty(); });
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
    taker->stuck = false;
    look_again();
}

inline void Handover::lost(const Member& member, ListenerId listener, std::uint64_t first, std::uint32_t count) {
    Taker* const taker = find(member, listener);
    if (taker == nullptr) return;
    const std::uint64_t oldest = taker->sent - taker->copies.size();
    for (std::uint64_t number = std::max(first, oldest); number < std::min(first + count, taker->sent); ++number) {
        UniqueFd& copy = taker->copies[static_cast<std::size_t>(number - oldest)];
        if (!copy) continue;
        waiting_.push_back(std::move(copy));
        ++taker->stats->rescued;
    }
    taker->rests_until = std::chrono::steady_clock::now() + rest_after_loss;
    taker->link->send(Forgotten{listener, first, count});
    look_again();
}

inline void Handover::retire(const Member& member, ListenerId listener) {
    if (Taker* taker = find(member, listener)) taker->retired = true;
    forget_candidates();
    look_again();
}

inline void Handover::retire(const Member& member) {
    for (const auto& taker : takers_)
        if (taker->worker == member.id) taker->retired = true;
    forget_candidates();
}

inline void Handover::leave(const Member& member) {
    for (std::size_t i = takers_.size(); i-- > 0;) {
        Taker& taker = *takers_[i];
        if (taker.worker != member.id) continue;
        release_taken(taker);
        rescue(taker);
        drop(i);
    }
    look_again();
}

inline void Handover::close() {
    closed_ = true;
    for (auto& connection : waiting_) give_last(std::move(connection));
    waiting_.clear();
    flush();
    room_.notify_all();
}

inline void Handover::abandon() {
    close();
    takers_.clear();
    sweep_.cancel();
}

} // namespace cohort::detail
