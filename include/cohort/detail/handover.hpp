// SPDX-License-Identifier: MIT
// Handover: connections on their way from the master to the workers of one endpoint, none of them lost (layer 3).
#pragma once

#include <cohort/detail/notifier.hpp>
#include <cohort/mode.hpp>

#include <asio/steady_timer.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <vector>

namespace cohort::detail {

/// The master keeps a copy of every connection until the worker has taken it, which it learns from a counter in the
/// shared page. A worker has at most `credit` connections that it has not taken; whoever has more room comes next in
/// turn. What a worker had not taken when it went, gave back, or lost at its descriptor limit, goes to another.
class Handover : public std::enable_shared_from_this<Handover> {
public:
    Handover(const DispatchContext& context, const Endpoint& endpoint)
        : context_(context), endpoint_(endpoint), room_(context.executor), sweep_(context.executor) {}

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
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    /// How many connections may be given now without anybody exceeding its credit.
    std::size_t room() noexcept;
    /// Waits until there may be room again, or until close().
    Task<> wait_room();

    /// Connections for the next worker in turn. Beyond everybody's credit they wait here. Sent by flush().
    void give(UniqueFd connection);
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
        ListenerId listener = 0;
        std::shared_ptr<MasterLink> link;
        std::uint64_t sent = 0;      // connections sent, ever
        std::deque<UniqueFd> copies; // of the last ones sent; an empty one was settled otherwise
        std::size_t unsent = 0;      // how many at the end of `copies` wait for flush()
        bool retired = false;
        std::chrono::steady_clock::time_point rests_until{};
    };

    Taker* find(const Member& member, ListenerId listener) const noexcept;
    std::uint64_t outstanding(const Taker& taker) const noexcept;
    bool has_room(const Taker& taker) const noexcept;
    Taker* next();
    void assign(Taker& taker, UniqueFd connection);
    void send_batch(Taker& taker);
    void release_taken(Taker& taker);
    void place_waiting();
    void look_again();
    void arm_sweep();
    void drop(std::size_t index);

    DispatchContext context_;
    Endpoint endpoint_;
    Notifier room_;
    asio::steady_timer sweep_;
    std::vector<std::unique_ptr<Taker>> takers_;
    std::deque<UniqueFd> waiting_;
    std::size_t cursor_ = 0;
    bool sweeping_ = false;
    bool closed_ = false;
};

inline ListenerId Handover::join(Member& member) {
    auto taker = std::make_unique<Taker>();
    taker->worker = member.id;
    taker->listener = context_.page.acquire();
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

inline bool Handover::has_room(const Taker& taker) const noexcept {
    return !taker.retired && outstanding(taker) < context_.options.credit &&
           (taker.rests_until.time_since_epoch().count() == 0 || taker.rests_until <= std::chrono::steady_clock::now());
}

inline std::size_t Handover::room() noexcept {
    std::size_t total = 0;
    for (const auto& taker : takers_)
        if (has_room(*taker)) total += context_.options.credit - outstanding(*taker);
    return total > waiting_.size() ? total - waiting_.size() : 0;
}

inline Task<> Handover::wait_room() {
    const auto self = shared_from_this();
    for (const auto& taker : takers_) context_.page[taker->listener].wanted.store(1, std::memory_order_seq_cst);
    arm_sweep();
    if (room() == 0 && !closed_) co_await room_.wait();
}

inline Handover::Taker* Handover::next() {
    for (std::size_t i = 0; i < takers_.size(); ++i) {
        Taker& taker = *takers_[(cursor_ + i) % takers_.size()];
        if (!has_room(taker)) continue;
        cursor_ = (cursor_ + i + 1) % takers_.size();
        return &taker;
    }
    return nullptr;
}

inline void Handover::assign(Taker& taker, UniqueFd connection) {
    release_taken(taker);
    taker.copies.push_back(std::move(connection));
    ++taker.sent;
    if (++taker.unsent == max_passed) send_batch(taker);
}

inline void Handover::give(UniqueFd connection) {
    if (closed_) return;
    if (Taker* taker = waiting_.empty() ? next() : nullptr)
        assign(*taker, std::move(connection));
    else
        waiting_.push_back(std::move(connection));
}

inline void Handover::give_last(UniqueFd connection) {
    for (std::size_t i = 0; i < takers_.size(); ++i) {
        Taker& taker = *takers_[cursor_++ % takers_.size()];
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
    while (!waiting_.empty()) {
        Taker* taker = next();
        if (taker == nullptr) break;
        assign(*taker, std::move(waiting_.front()));
        waiting_.pop_front();
    }
    for (const auto& taker : takers_) send_batch(*taker);
}

inline void Handover::look_again() {
    for (std::size_t i = takers_.size(); i-- > 0;) {
        Taker& taker = *takers_[i];
        release_taken(taker);
        if (taker.retired && taker.copies.empty()) drop(i);
    }
    place_waiting();
    if (closed_ || room() > 0) room_.notify_all();
    arm_sweep();
}

inline void Handover::drop(std::size_t index) {
    context_.page.release(takers_[index]->listener);
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
    if (find(member, listener) != nullptr) look_again();
}

inline void Handover::lost(const Member& member, ListenerId listener, std::uint64_t first, std::uint32_t count) {
    Taker* const taker = find(member, listener);
    if (taker == nullptr) return;
    const std::uint64_t oldest = taker->sent - taker->copies.size();
    for (std::uint64_t number = std::max(first, oldest); number < std::min(first + count, taker->sent); ++number) {
        UniqueFd& copy = taker->copies[static_cast<std::size_t>(number - oldest)];
        if (copy) waiting_.push_back(std::move(copy));
    }
    taker->rests_until = std::chrono::steady_clock::now() + rest_after_loss;
    taker->link->send(Forgotten{listener, first, count});
    look_again();
}

inline void Handover::retire(const Member& member, ListenerId listener) {
    if (Taker* taker = find(member, listener)) taker->retired = true;
    look_again();
}

inline void Handover::retire(const Member& member) {
    for (const auto& taker : takers_)
        if (taker->worker == member.id) taker->retired = true;
}

inline void Handover::leave(const Member& member) {
    for (std::size_t i = takers_.size(); i-- > 0;) {
        Taker& taker = *takers_[i];
        if (taker.worker != member.id) continue;
        release_taken(taker);
        for (auto& copy : taker.copies)
            if (copy && !closed_) waiting_.push_back(std::move(copy));
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
