// SPDX-License-Identifier: MIT
#include <cohort/detail/rollout.hpp>

#include <doctest/doctest.h>

using namespace cohort;
using namespace cohort::detail;
using namespace std::chrono_literals;

namespace {

const Rollout::Clock::time_point begin{1'000s};

TEST_CASE("one slot after the other, each when the successor before is ready") {
    Rollout rollout({4, 7}, 1, 10s);
    CHECK(rollout.next_slot() == 4);
    rollout.on_started(11, begin);
    CHECK_FALSE(rollout.next_slot());
    CHECK(rollout.deadline() == begin + 10s);
    CHECK_FALSE(rollout.on_ready(99)); // somebody else
    CHECK(rollout.on_ready(11));
    CHECK_FALSE(rollout.on_ready(11)); // only once
    CHECK(rollout.next_slot() == 7);
    rollout.on_started(12, begin);
    CHECK_FALSE(rollout.is_over());
    CHECK(rollout.on_ready(12));
    CHECK(rollout.is_over());
    CHECK(rollout.report());
    CHECK(rollout.report().replaced == 2);
}

TEST_CASE("several at once") {
    Rollout rollout({0, 1, 2}, 2, 10s);
    rollout.on_started(1, begin);
    CHECK(rollout.next_slot() == 1);
    rollout.on_started(2, begin + 1s);
    CHECK_FALSE(rollout.next_slot());
    CHECK(rollout.deadline() == begin + 10s);
    CHECK(rollout.on_ready(1));
    CHECK(rollout.deadline() == begin + 11s);
    CHECK(rollout.next_slot() == 2);
}

TEST_CASE("a successor that ends is the end, and the others under way are not wanted") {
    Rollout rollout({0, 1, 2}, 2, 10s);
    rollout.on_started(1, begin);
    rollout.on_started(2, begin);
    rollout.on_exit(99, ExitStatus::exited(1)); // somebody else
    CHECK_FALSE(rollout.is_over());
    rollout.on_exit(1, ExitStatus::exited(3));
    CHECK(rollout.is_over());
    CHECK(rollout.report().error == Errc::not_ready);
    CHECK(rollout.report().failed == 1);
    CHECK(rollout.report().status == ExitStatus::exited(3));
    CHECK(rollout.unwanted() == std::vector<WorkerId>{2});
    CHECK_FALSE(rollout.next_slot());
    CHECK_FALSE(rollout.on_ready(2)); // too late
}

TEST_CASE("a successor that takes too long is the end") {
    Rollout rollout({0}, 1, 10s);
    rollout.on_started(1, begin);
    rollout.on_time(begin + 9s);
    CHECK_FALSE(rollout.is_over());
    rollout.on_time(begin + 10s);
    CHECK(rollout.report().error == Errc::not_ready);
    CHECK(rollout.report().failed == 1);
    CHECK_FALSE(rollout.report().status);
    CHECK(rollout.unwanted() == std::vector<WorkerId>{1});
}

TEST_CASE("the first reason stays") {
    Rollout rollout({0}, 1, Rollout::Clock::duration::max());
    rollout.on_started(1, begin);
    CHECK(rollout.deadline() == Rollout::Clock::time_point::max());
    rollout.fail(Errc::stopping);
    rollout.on_exit(1, ExitStatus::exited(3));
    CHECK(rollout.report().error == Errc::stopping);
    CHECK_FALSE(rollout.report().failed);
}

TEST_CASE("nothing to replace") {
    const Rollout rollout({}, 1, 10s);
    CHECK(rollout.is_over());
    CHECK(rollout.report());
}

} // namespace
