// SPDX-License-Identifier: MIT
// The bodies of turn_budget.hpp (layer 3).
#pragma once

#include <cohort/detail/async/turn_budget.hpp>

#include <cohort/detail/config.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>

namespace cohort::detail {

COHORT_DECL bool TurnBudget::look() noexcept {
    const auto now = Clock::now();
    if (begun_ == Clock::time_point{}) {
        begun_ = now;
    } else {
        const auto took = now - looked_;
        if (took > length / 4) stride_ = 1;
        if (took < length / 16) stride_ = std::min(2 * stride_, longest_stride);
    }
    looked_ = now;
    const bool over = now - begun_ >= length;
    left_ = over ? 1 : stride_;
    return over;
}

COHORT_DECL Task<> TurnBudget::let_others_go_on() {
    co_await asio::post(asio::use_awaitable);
    begin();
}

} // namespace cohort::detail
