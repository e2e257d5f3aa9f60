// SPDX-License-Identifier: MIT
// Delivery: one listener of one worker, and the connections on their way to it (layer 3).
#pragma once

#include <cohort/detail/control/shared_page.hpp>
#include <cohort/mode.hpp>
#include <cohort/scheduler.hpp>

#include <chrono>
#include <deque>
#include <memory>

namespace cohort::detail {

/// Keeps a copy of every connection that was sent until the worker has taken it, which a counter in the shared page
/// tells. Both sides move that counter by compare-and-swap, so what is taken back was not served, and will not be.
class Delivery {
public:
    using Clock = std::chrono::steady_clock;

    /// Throws Errc::no_free_slot.
    Delivery(const DispatchContext& context, const DispatchTarget& target);
    Delivery(const Delivery&) = delete;
    Delivery& operator=(const Delivery&) = delete;
    ~Delivery();

    WorkerId worker() const noexcept { return worker_; }
    ListenerId listener() const noexcept { return listener_; }

    /// It gets no new connections.
    void retire() noexcept { retired_ = true; }
    bool is_retired() const noexcept { return retired_; }
    /// It gets no new connections until it sends a message or begins to serve one that it has accepted itself.
    void set_stuck() noexcept {
        stuck_ = true;
        accepted_when_stuck_ = accepted();
    }
    void revive() noexcept { stuck_ = false; }
    /// How many connections the worker has begun to serve, as it says.
    std::uint64_t accepted() const noexcept { return cell_.accepted.load(std::memory_order_relaxed); }
    /// Whether the worker has not read what it was sent before: what is kept for it has copies of its own.
    bool is_behind() const noexcept;
    /// Whether it gets new connections now.
    bool is_active() noexcept;
    /// How many connections it was sent and has not taken.
    std::uint64_t outstanding() const noexcept;
    /// Its worker, of which all listeners at this endpoint have `sent` of these in all.
    Candidate candidate(std::uint64_t sent) const noexcept;
    /// Has the worker send a message when it takes the next connection.
    void ask_to_tell() noexcept { cell_.wanted.store(1, std::memory_order_seq_cst); }

    /// Queues a connection; it is sent by flush() at the latest.
    void assign(TransferredConnection connection);
    void flush();
    /// Whether it has connections that it has not taken.
    bool has_copies() const noexcept { return !copies_.empty(); }
    std::size_t copies() const noexcept { return copies_.size(); }
    /// Closes the copies of what it has taken. Until then its close alone would send no FIN.
    void release_taken();
    /// For a worker that has ended: moves the connections that it had not taken to `others`.
    void take_back(std::deque<TransferredConnection>& others);
    /// Whether it has had a connection for that long without taking any.
    bool is_idle(Clock::time_point now, std::chrono::milliseconds time) noexcept;
    /// The same for a worker that is stuck; moves nothing when it has just begun to take them.
    void take_back_from_stuck(std::deque<TransferredConnection>& others);
    /// Moves those that the worker's process had no descriptors for to `others`. It gets none for a while.
    void take_back_lost(std::uint64_t first, std::uint32_t count, std::deque<TransferredConnection>& others);

private:
    static constexpr std::chrono::milliseconds rest_after_loss{50};

    void move_copies(std::deque<TransferredConnection>& others);

    SharedPage& page_;
    WorkerId worker_;
    unsigned slot_;
    const WorkerCell& vitals_;
    ListenerId listener_;
    Cell& cell_;
    unsigned credit_;
    std::size_t share_; // of the descriptors, for copies to this worker
    std::shared_ptr<MasterLink> link_;
    SlotStats& stats_;
    std::uint64_t sent_ = 0;                   // ever
    std::deque<TransferredConnection> copies_; // of the last ones sent; an empty one was settled otherwise
    std::size_t state_bytes_ = 0;              // of those that wait for flush()
    std::size_t unsent_ = 0;                   // how many at the end of `copies_` wait for flush()
    bool retired_ = false;
    bool stuck_ = false;
    std::uint64_t accepted_when_stuck_ = 0;
    std::uint64_t seen_ = 0; // `taken` when it last moved
    Clock::time_point moved_{};
    Clock::time_point rests_until_{};
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/delivery.ipp>
#endif
