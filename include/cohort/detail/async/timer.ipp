// SPDX-License-Identifier: MIT
// The bodies of timer.hpp (layer 3).
#pragma once

#include <cohort/detail/async/timer.hpp>

#include <cohort/detail/config.hpp>

#include <asio/steady_timer.hpp>

#include <system_error>
#include <utility>

namespace cohort::detail {

struct Timer::State {
    explicit State(const asio::any_io_executor& executor) : timer(executor) {}

    asio::steady_timer timer;
    std::function<void()> action;
    unsigned turn = 0; // how often it was set or cancelled: an expiry of an earlier turn is of no consequence
};

COHORT_DECL Timer::Timer(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

COHORT_DECL Timer::~Timer() {
    if (state_) cancel();
}

COHORT_DECL void Timer::expire_at(Clock::time_point time, std::function<void()> action) {
    state_->action = std::move(action);
    state_->timer.expires_at(time);
    state_->timer.async_wait([weak = std::weak_ptr(state_), turn = ++state_->turn](std::error_code) {
        const auto state = weak.lock();
        if (!state || state->turn != turn) return;
        const auto due = std::exchange(state->action, nullptr);
        due();
    });
}

COHORT_DECL void Timer::expire_after(Clock::duration time, std::function<void()> action) {
    expire_at(Clock::now() + time, std::move(action));
}

COHORT_DECL void Timer::cancel() noexcept {
    ++state_->turn;
    state_->action = nullptr;
    state_->timer.cancel();
}

COHORT_DECL bool Timer::is_set() const noexcept { return state_->action != nullptr; }

} // namespace cohort::detail
