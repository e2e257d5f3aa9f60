// SPDX-License-Identifier: MIT
// The master's accepting: from a listening descriptor into a Distributor, no faster than workers have room (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/listen/distributor.hpp>
#include <cohort/detail/socket/listen_queue.hpp>

#include <asio/steady_timer.hpp>

#include <memory>

namespace cohort::detail {

/// Accepts for a Distributor while it is started. While no worker has room, connections stay in the kernel's queue.
class AcceptLoop : public std::enable_shared_from_this<AcceptLoop> {
public:
    /// `is_lent`: workers have the descriptor, too.
    AcceptLoop(const asio::any_io_executor& executor, UniqueFd listener, std::shared_ptr<Distributor> distributor,
               bool is_lent = false)
        : listener_(executor, std::move(listener)),
          rest_(executor),
          distributor_(std::move(distributor)),
          is_lent_(is_lent) {}

    void start();
    /// The descriptor stays open, for others to accept on.
    void stop();
    /// Accepts everything in the kernel's queue and sends it out, even to workers without credit; but leaves the last
    /// descriptors to others.
    void drain();
    void close() {
        stop();
        listener_.close();
    }
    int descriptor() const noexcept { return listener_.get(); }
    bool is_running() const noexcept { return running_; }
    QueueStats queue() const {
        const ListenQueue queue = listen_queue(listener_.get());
        return {.endpoint = distributor_->endpoint(), .length = queue.length, .limit = queue.limit};
    }

private:
    static constexpr std::size_t batch = 64;

    static Task<> run(std::shared_ptr<AcceptLoop> self, unsigned turn);
    bool is_current(unsigned turn) const noexcept { return running_ && turn == turn_; }
    int accept_batch();
    UniqueFd accept_one() noexcept;

    AsyncFd listener_;
    asio::steady_timer rest_;
    std::shared_ptr<Distributor> distributor_;
    bool is_lent_;
    unsigned turn_ = 0;
    bool running_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/accept_loop.ipp>
#endif
