// SPDX-License-Identifier: MIT
// The bodies of timer.hpp (layer 3).
#pragma once

#include <cohort/detail/async/timer.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

#include <asio/steady_timer.hpp>

#include <system_error>
#include <utility>

namespace cohort::detail {

struct Timer::State {
    explicit State(const asio::any_io_executor& executor) : timer(executor) {}

    asio::steady_timer timer;
    unsigned turn = 0; // how often it was set or cancelled: an expiry of an earlier turn is of no consequence
    bool is_set = false;
};

/// Owns the action, not the timer: what the action owns may own the timer in turn.
struct Timer::Expiry {
    void operator()(std::error_code) const {
        {
            const auto state = timer.lock();
            if (!state || state->turn != turn) return;
            state->is_set = false;
        }
        action();
    }

    std::weak_ptr<State> timer;
    unsigned turn;
    Action action;
};

COHORT_DECL Timer::Timer(const asio::any_io_executor& executor) : state_(share<State>(executor)) {}

COHORT_DECL Timer::~Timer() {
    if (state_) cancel();
}

COHORT_DECL void Timer::expire_at(Clock::time_point time, Action action) {
    state_->is_set = false; // there may be no memory for what follows
    state_->timer.expires_at(time);
    state_->timer.async_wait(Expiry{state_, ++state_->turn, std::move(action)});
    state_->is_set = true;
}

COHORT_DECL void Timer::expire_after(Timeout time, Action action) { expire_at(time.deadline(), std::move(action)); }

COHORT_DECL void Timer::cancel() noexcept {
    ++state_->turn;
    state_->is_set = false;
    state_->timer.cancel();
}

COHORT_DECL bool Timer::is_set() const noexcept { return state_->is_set; }

} // namespace cohort::detail
