// SPDX-License-Identifier: MIT
#include <cohort/detail/logs/hold_budget.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using cohort::detail::HoldBudget;

TEST_CASE("nobody is held up for more than a part of every second") {
    HoldBudget budget;
    auto now = HoldBudget::Clock::time_point{} + 1h;
    CHECK(budget.left(now) == HoldBudget::most);
    budget.use(70ms);
    CHECK(budget.left(now += 70ms) == 30ms);
    budget.use(40ms); // a little late
    CHECK(budget.left(now += 40ms) == 0ms);
    CHECK(budget.left(now += 850ms) == 0ms);
    CHECK(budget.left(now += 40ms) == HoldBudget::most);
}
