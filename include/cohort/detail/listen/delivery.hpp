// SPDX-License-Identifier: MIT
// Delivery: one listener of one worker, and the connections on their way to it (layer 3).
#pragma once

#include <cohort/mode.hpp>
#include <cohort/scheduler.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <span>

namespace cohort::detail {

/// Keeps a copy of every connection that was sent until the worker has taken it, which a counter in the shared page
/// tells. Both sides move that counter by compare-and-swap, so what is taken back was not served, and will not be.
class Delivery {
public:
    using Clock = std::chrono::steady_clock;

    /// Throws Errc::no_free_slot.
    Delivery(const DispatchContext& context, const DispatchTarget& target)
        : page_(context.page),
          worker_(target.id),
          slot_(target.slot),
          vitals_(page_.worker(target.cell)),
          listener_(page_.acquire()),
          cell_(page_[listener_]),
          credit_(context.options.credit),
          link_(target.link),
          stats_(context.ledger[target.slot]) {}
    Delivery(const Delivery&) = delete;
    Delivery& operator=(const Delivery&) = delete;
    ~Delivery() { page_.release(listener_); }

    WorkerId worker() const noexcept { return worker_; }
    ListenerId listener() const noexcept { return listener_; }

    /// Nothing new for it.
    void retire() noexcept { retired_ = true; }
    bool is_retired() const noexcept { return retired_; }
    /// Nothing new until it shows that it lives: by a message, or by serving something that it has accepted itself.
    void set_stuck() noexcept {
        stuck_ = true;
        seen_ = cell_.accepted.load(std::memory_order_relaxed);
    }
    void revive() noexcept { stuck_ = false; }
    /// Takes part now.
    bool is_active() noexcept;
    Candidate candidate() const noexcept;
    /// The next connection that it takes is to be told.
    void ask_to_tell() noexcept { cell_.wanted.store(1, std::memory_order_seq_cst); }

    /// Sent by flush(), or earlier.
    void assign(TransferredConnection connection);
    void flush();
    /// Has not taken everything.
    bool has_copies() const noexcept { return !copies_.empty(); }
    /// Closes the copies of what it has taken. Until then its close alone would send no FIN.
    void release_taken();
    /// It has gone: what it had not taken is for others.
    void take_back(std::deque<TransferredConnection>& others);
    /// It has had something for so long without touching it.
    bool is_idle(Clock::time_point now, Clock::duration time) noexcept;
    /// It is stuck: the same, unless it has just begun to move.
    void take_back_from_stuck(std::deque<TransferredConnection>& others);
    /// What had no room in its process is for others. It rests for a while.
    void take_back_lost(std::uint64_t first, std::uint32_t count, std::deque<TransferredConnection>& others);

private:
    static constexpr std::chrono::milliseconds rest_after_loss{50};

    std::uint64_t outstanding() const noexcept;
    void move_copies(std::deque<TransferredConnection>& others);

    SharedPage& page_;
    WorkerId worker_;
    unsigned slot_;
    const WorkerCell& vitals_;
    ListenerId listener_;
    Cell& cell_;
    unsigned credit_;
    std::shared_ptr<MasterLink> link_;
    SlotStats& stats_;
    std::uint64_t sent_ = 0;                   // ever
    std::deque<TransferredConnection> copies_; // of the last ones sent; an empty one was settled otherwise
    std::size_t state_bytes_ = 0;              // of those that wait for flush()
    std::size_t unsent_ = 0;                   // how many at the end of `copies_` wait for flush()
    bool retired_ = false;
    bool stuck_ = false;
    std::uint64_t seen_ = 0; // `taken` when it last moved, or `accepted` when it got stuck
    Clock::time_point moved_{};
    Clock::time_point rests_until_{};
};

inline std::uint64_t Delivery::outstanding() const noexcept {
    // A worker that writes nonsense to its cell must not gain credit by it.
    const std::uint64_t taken = cell_.taken.load(std::memory_order_seq_cst);
    return taken > sent_ ? copies_.size() : sent_ - taken;
}

inline bool Delivery::is_active() noexcept {
    if (stuck_ && cell_.accepted.load(std::memory_order_relaxed) != seen_) stuck_ = false;
    if (retired_ || stuck_) return false;
    return rests_until_ == Clock::time_point{} || rests_until_ <= Clock::now();
}

inline Candidate Delivery::candidate() const noexcept {
    const std::uint64_t sent = outstanding(); // first: one that it takes meanwhile counts twice, and not at all never
    const std::uint32_t open = vitals_.open.load(std::memory_order_seq_cst);
    const std::uint32_t limit = vitals_.limit.load(std::memory_order_relaxed);
    const std::uint64_t by_limit = limit > open + sent ? limit - open - sent : 0;
    const std::uint64_t by_credit = credit_ > sent ? credit_ - sent : 0;
    return {.worker = worker_,
            .slot = slot_,
            .open = open,
            .sent = static_cast<std::uint32_t>(sent),
            .room = static_cast<std::uint32_t>(std::min(by_limit, by_credit))};
}

inline void Delivery::assign(TransferredConnection connection) {
    release_taken();
    if (copies_.empty()) moved_ = Clock::now();
    if (state_bytes_ + connection.state.size() > TransferredConnection::max_state) flush();
    state_bytes_ += connection.state.size();
    copies_.push_back(std::move(connection));
    ++sent_;
    ++stats_.delivered;
    if (++unsent_ == max_passed) flush();
}

inline void Delivery::flush() {
    if (unsent_ == 0) return;
    std::array<int, max_passed> descriptors{};
    Connections message{listener_, sent_ - unsent_, static_cast<std::uint32_t>(unsent_)};
    const std::size_t begin = copies_.size() - unsent_;
    for (std::size_t i = 0; i < unsent_; ++i) {
        descriptors[i] = copies_[begin + i].connection.get();
        if (state_bytes_ != 0) message.states.push_back(copies_[begin + i].state);
    }
    link_->send(message, std::span<const int>(descriptors).first(unsent_));
    unsent_ = state_bytes_ = 0;
}

inline void Delivery::release_taken() {
    const std::uint64_t keep = outstanding();
    while (copies_.size() > keep) copies_.pop_front();
}

inline void Delivery::move_copies(std::deque<TransferredConnection>& others) {
    for (auto& copy : copies_) {
        if (!copy) continue;
        others.push_back(std::move(copy));
        ++stats_.redelivered;
    }
    copies_.clear();
    unsent_ = state_bytes_ = 0;
}

inline void Delivery::take_back(std::deque<TransferredConnection>& others) {
    release_taken();
    move_copies(others);
}

inline bool Delivery::is_idle(Clock::time_point now, Clock::duration time) noexcept {
    const std::uint64_t taken = cell_.taken.load(std::memory_order_seq_cst);
    if (taken != seen_) {
        seen_ = taken;
        moved_ = now;
    }
    return !copies_.empty() && now - moved_ >= time;
}

inline void Delivery::take_back_from_stuck(std::deque<TransferredConnection>& others) {
    std::uint64_t taken = seen_;
    if (!cell_.taken.compare_exchange_strong(taken, sent_, std::memory_order_seq_cst)) return;
    move_copies(others);
    set_stuck();
}

inline void Delivery::take_back_lost(std::uint64_t first, std::uint32_t count,
                                     std::deque<TransferredConnection>& others) {
    const std::uint64_t oldest = sent_ - copies_.size();
    for (std::uint64_t number = std::max(first, oldest); number < std::min(first + count, sent_); ++number) {
        TransferredConnection& copy = copies_[static_cast<std::size_t>(number - oldest)];
        if (!copy) continue;
        others.push_back(std::move(copy));
        ++stats_.redelivered;
    }
    rests_until_ = Clock::now() + rest_after_loss;
    link_->send(Forgotten{listener_, first, count});
}

} // namespace cohort::detail
