// SPDX-License-Identifier: MIT
// DeliveryIntake: the connections that the master has delivered to a worker, until they are taken (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control/connection_count.hpp>
#include <cohort/detail/control/links.hpp>
#include <cohort/mode.hpp>

#include <deque>
#include <optional>

namespace cohort::detail {

/// What the intakes of all modes have in common. Connections leave in the order of their numbers, and only then does
/// the master let go of its copies.
class DeliveryIntake : public Intake {
public:
    explicit DeliveryIntake(IntakeContext context) : context_(std::move(context)), arrival_(context_.executor) {}

    COHORT_DECL Task<std::optional<Socket>> accept() override;
    COHORT_DECL void deliver(std::uint64_t first, std::uint32_t count,
                             std::vector<TransferredConnection> connections) override;
    COHORT_DECL void forget(std::uint64_t first, std::uint32_t count) override;
    COHORT_DECL void look_again() override;
    COHORT_DECL void stop(bool hand_over) override;
    COHORT_DECL void close() override;
    bool stopping() const noexcept override { return closed_ || stopped_; }
    bool hands_over() const noexcept override { return hands_over_ && !context_.link->ended(); }
    COHORT_DECL bool hand_over(Socket& socket, std::string state) override;
    const Endpoint& endpoint() const noexcept override { return context_.endpoint; }

    /// Takes the next connection that has arrived, if the worker has room for it.
    std::optional<Socket> take();
    /// Takes no more connections for now: other workers get them. A worker that leaves still serves what has arrived.
    bool is_full() const noexcept { return !stopped_ && context_.connection_count.is_full(); }
    /// Whether no connection is left and no more will be taken.
    bool is_finished() const noexcept { return closed_ || (stopped_ && queue_.empty()); }
    /// Waits until something has changed.
    Task<> wait() { return arrival_.wait(); }
    /// Of those who accept here.
    TurnBudget& turn() noexcept { return turn_; }
    /// When their turn is over. Throws operation_aborted when the one who accepts is cancelled meanwhile.
    Task<> let_others_go_on();
    void notify() { arrival_.notify_all(); }

    IntakeContext& context() noexcept { return context_; }
    /// Counts it.
    Socket to_socket(TransferredConnection connection, CountedConnection counted);
    /// Room for one more connection, which is about to be taken.
    CountedConnection enter() noexcept { return context_.connection_count.enter(); }

private:
    struct Entry {
        TransferredConnection connection; // empty: lost on the way
        bool forgotten = false;
    };

    bool settle();
    void settle_to(std::uint64_t settled);
    void tell_if_wanted();
    void give_back(TransferredConnection connection, bool was_served = false);
    void give_all_back();
    void skip_forgotten();

    IntakeContext context_;
    Notifier arrival_;
    TurnBudget turn_;
    std::deque<Entry> queue_;
    std::uint64_t next_ = 0; // number of the front of the queue; the queue has no gaps
    bool stopped_ = false;
    bool hands_over_ = false;
    bool closed_ = false;
};

int protocol_family(const Endpoint& endpoint) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/delivery_intake.ipp>
#endif
