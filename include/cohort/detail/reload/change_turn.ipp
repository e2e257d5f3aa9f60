// SPDX-License-Identifier: MIT
// The bodies of change_turn.hpp (layer 4).
#pragma once

#include <cohort/detail/reload/change_turn.hpp>

#include <cohort/detail/config.hpp>

#include <exception>
#include <utility>

namespace cohort::detail {

COHORT_DECL Task<bool> ChangeTurn::wait() {
    const std::weak_ptr<bool> alive = alive_;
    while (!alive.expired() && taken_ && !closed_) co_await over_.wait();
    co_return !alive.expired() && !closed_;
}

COHORT_DECL Task<ReloadReport> ChangeTurn::take(Task<ReloadReport> change) {
    const std::weak_ptr<bool> alive = alive_;
    ReloadReport report;
    std::exception_ptr given_up;
    taken_ = true;
    try {
        report = co_await std::move(change);
    } catch (...) {
        given_up = std::current_exception();
    }
    if (!alive.expired()) {
        taken_ = false;
        over_.notify_all();
    }
    if (given_up) std::rethrow_exception(given_up);
    co_return report;
}

} // namespace cohort::detail
