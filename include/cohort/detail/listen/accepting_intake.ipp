// SPDX-License-Identifier: MIT
// The bodies of accepting_intake.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/accepting_intake.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/config.hpp>

#include <asio/this_coro.hpp>

namespace cohort::detail {

COHORT_DECL UniqueFd AcceptingIntake::accept_next() {
    for (int left = most_tries; left > 0; --left) {
        UniqueFd connection(System::current().accept(listener_.get()));
        if (connection || !concerns_one_connection(errno)) return connection;
    }
    errno = EAGAIN; // the listener is readable still
    return {};
}

/// Accepts a connection for its caller, or sets `error`.
COHORT_DECL std::optional<Socket> AcceptingIntake::accept_own(int& error) {
    error = 0;
    if (!listener_.is_open()) return std::nullopt;
    if (UniqueFd connection = accept_next()) return to_socket(std::move(connection), enter());
    error = errno;
    return std::nullopt;
}

/// Wakes accept() when the listener has something, as the arrival of a handed-over connection does.
COHORT_DECL void AcceptingIntake::watch() {
    if (watching_ || !listener_.is_open()) return;
    watching_ = true;
    listener_.when_readable(action<&AcceptingIntake::stop_watching>(this, shared_from_this()));
}

COHORT_DECL void AcceptingIntake::stop_watching() {
    watching_ = false;
    notify();
}

COHORT_DECL Task<std::optional<Socket>> AcceptingIntake::accept() {
    const auto keep = shared_from_this();
    if (turn().is_over()) co_await let_others_go_on();
    for (;;) {
        if (auto socket = take()) co_return socket;
        if (is_finished()) co_return std::nullopt;
        const bool full = is_full();
        int error = 0;
        if (!full) {
            if (auto socket = accept_own(error)) co_return socket;
        }
        if (error != 0 && !would_block(error)) {
            // Not shared: another coroutine may rest, too.
            asio::steady_timer rest(context().executor, accept_rest);
            co_await until_expired(rest);
            continue;
        }
        if (!full) watch();
        co_await wait();
        turn().begin();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
    }
}

} // namespace cohort::detail
