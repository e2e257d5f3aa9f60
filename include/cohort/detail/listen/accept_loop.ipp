// SPDX-License-Identifier: MIT
// The bodies of accept_loop.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/accept_loop.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/system/system.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <cerrno>

#include <fcntl.h>

namespace cohort::detail {

COHORT_DECL void AcceptLoop::start() {
    if (running_ || !listener_.is_open()) return;
    running_ = true;
    spawn(listener_.get_executor(), run(shared_from_this(), ++turn_));
}

COHORT_DECL void AcceptLoop::stop() {
    running_ = false;
    ++turn_;
    listener_.cancel();
    rest_.cancel();
}

/// O_NONBLOCK is shared with whoever has the descriptor: a worker that clears it would have its master wait here.
COHORT_DECL UniqueFd AcceptLoop::accept_one() noexcept {
    if (is_lent_ && !has_waiting(listener_.get())) {
        errno = EAGAIN;
        return {};
    }
    if (is_lent_) ::fcntl(listener_.get(), F_SETFL, O_RDWR | O_NONBLOCK);
    return UniqueFd(System::current().accept(listener_.get()));
}

COHORT_DECL void AcceptLoop::drain() {
    if (!distributor_->has_workers()) return; // programs that cohort knows nothing of may still accept there
    distributor_->give_waiting();
    const std::size_t reserve = 2 * share_of_descriptors(); // for others: who leaves may have filled the queue itself
    for (std::size_t left = most_in_queue(listener_.get()); left > 0 && listener_.is_open(); --left) {
        if (!can_open(reserve)) break;
        UniqueFd connection = accept_one();
        if (connection)
            distributor_->give_last(std::move(connection));
        else if (!concerns_one_connection(errno))
            break;
    }
    distributor_->flush();
}

/// Accepts what there is room for; returns 0 when more may be waiting, else accept's error.
COHORT_DECL int AcceptLoop::accept_batch() {
    std::size_t count = std::min(batch, distributor_->room());
    int error = 0;
    for (; count > 0 && error == 0; --count) {
        UniqueFd connection = accept_one();
        if (connection)
            distributor_->give(std::move(connection));
        else if (!concerns_one_connection(errno))
            error = errno;
    }
    distributor_->flush();
    return error;
}

COHORT_DECL Task<> AcceptLoop::run(std::shared_ptr<AcceptLoop> self, unsigned turn) {
    std::error_code ignored;
    // A worker that has just joined must be sent its listener before any connections.
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
            co_await until_expired(self->rest_, ignored);
        }
    }
}

} // namespace cohort::detail
