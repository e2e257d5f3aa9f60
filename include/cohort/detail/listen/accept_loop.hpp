// SPDX-License-Identifier: MIT
// The master's accepting: from a listening descriptor into a Distributor, no faster than workers have room (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/listen/distributor.hpp>
#include <cohort/detail/socket/listen_queue.hpp>
#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>

#include <memory>

namespace cohort::detail {

/// Accepts for a Distributor while it is started. When nobody has room the connections stay in the kernel's queue.
class AcceptLoop : public std::enable_shared_from_this<AcceptLoop> {
public:
    AcceptLoop(const asio::any_io_executor& executor, UniqueFd listener, std::shared_ptr<Distributor> distributor)
        : listener_(executor, std::move(listener)), rest_(executor), distributor_(std::move(distributor)) {}

    void start() {
        if (running_ || !listener_.is_open()) return;
        running_ = true;
        asio::co_spawn(listener_.get_executor(), run(shared_from_this(), ++turn_), asio::detached);
    }
    /// The descriptor stays open, for others to accept on.
    void stop() {
        running_ = false;
        ++turn_;
        listener_.cancel();
        rest_.cancel();
    }
    /// All that wait go out, whoever has credit or not.
    void drain() {
        distributor_->give_waiting();
        while (listener_.is_open()) {
            UniqueFd connection(System::current().accept(listener_.get()));
            if (connection)
                distributor_->give_last(std::move(connection));
            else if (!concerns_one_connection(errno))
                break;
        }
        distributor_->flush();
    }
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

    AsyncFd listener_;
    asio::steady_timer rest_;
    std::shared_ptr<Distributor> distributor_;
    unsigned turn_ = 0;
    bool running_ = false;
};

/// Accepts what there is room for; returns 0 when more may be waiting, else accept's error.
inline int AcceptLoop::accept_batch() {
    std::size_t count = std::min(batch, distributor_->room());
    int error = 0;
    while (count > 0 && error == 0) {
        UniqueFd connection(System::current().accept(listener_.get()));
        if (connection)
            distributor_->give(std::move(connection)), --count;
        else if (!concerns_one_connection(errno))
            error = errno;
    }
    distributor_->flush();
    return error;
}

inline Task<> AcceptLoop::run(std::shared_ptr<AcceptLoop> self, unsigned turn) {
    std::error_code ignored;
    // A worker that has just joined must hear of its listener first, and then of connections.
    co_await asio::post(asio::use_awaitable);
    while (self->is_current(turn)) {
        if (self->distributor_->room() == 0) {
            co_await self->distributor_->wait_room();
            continue;
        }
        const int error = self->accept_batch();
        if (error == 0) {
            co_await asio::post(asio::use_awaitable);
        } else if (would_block(error)) {
            co_await self->listener_.readable(ignored);
        } else {
            self->rest_.expires_after(accept_rest);
            co_await self->rest_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        }
    }
}

} // namespace cohort::detail
