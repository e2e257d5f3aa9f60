// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/rollout.hpp>

#include <doctest/doctest.h>

using namespace cohort;
using namespace cohort::detail;
using namespace std::chrono_literals;

namespace {

const Rollout::Clock::time_point begin{1'000s};

/// Whether its predecessor may leave now.
bool becomes_ready(Rollout& rollout, WorkerId successor) {
    rollout.on_ready(successor, begin);
    return rollout.take_accepted() == std::vector{successor};
}

TEST_CASE("one slot after the other, each when the successor before is ready") {
    Rollout rollout({4, 7}, {.at_once = 1, .boot_timeout = 10s});
    CHECK(rollout.next_slot() == 4);
    rollout.on_started(11, begin);
    CHECK_FALSE(rollout.next_slot());
    CHECK(rollout.deadline() == begin + 10s);
    CHECK_FALSE(becomes_ready(rollout, 99)); // somebody else
    CHECK(becomes_ready(rollout, 11));
    CHECK_FALSE(becomes_ready(rollout, 11)); // only once
    CHECK(rollout.next_slot() == 7);
    rollout.on_started(12, begin);
    CHECK_FALSE(rollout.is_over());
    CHECK(becomes_ready(rollout, 12));
    CHECK(rollout.is_over());
    CHECK(rollout.report());
    CHECK(rollout.report().replaced == 2);
}

TEST_CASE("several at once") {
    Rollout rollout({0, 1, 2}, {.at_once = 2, .boot_timeout = 10s});
    rollout.on_started(1, begin);
    CHECK(rollout.next_slot() == 1);
    rollout.on_started(2, begin + 1s);
    CHECK_FALSE(rollout.next_slot());
    CHECK(rollout.deadline() == begin + 10s);
    CHECK(becomes_ready(rollout, 1));
    CHECK(rollout.deadline() == begin + 11s);
    CHECK(rollout.next_slot() == 2);
}

TEST_CASE("a successor that ends is the end, and the others under way are not wanted") {
    Rollout rollout({0, 1, 2}, {.at_once = 2, .boot_timeout = 10s});
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
    CHECK_FALSE(becomes_ready(rollout, 2)); // too late
}

TEST_CASE("a successor that takes too long is the end") {
    Rollout rollout({0}, {.at_once = 1, .boot_timeout = 10s});
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
    Rollout rollout({0}, {.boot_timeout = Rollout::Clock::duration::max()});
    rollout.on_started(1, begin);
    CHECK(rollout.deadline() == Rollout::Clock::time_point::max());
    rollout.fail(Errc::stopping);
    rollout.on_exit(1, ExitStatus::exited(3));
    CHECK(rollout.report().error == Errc::stopping);
    CHECK_FALSE(rollout.report().failed);
}

TEST_CASE("nothing to replace") {
    const Rollout rollout({}, {.at_once = 1, .boot_timeout = 10s});
    CHECK(rollout.is_over());
    CHECK(rollout.report());
}

TEST_CASE("canaries are on trial beside the old workers, and only then others get successors") {
    Rollout rollout({3, 4, 5}, {.at_once = 3, .boot_timeout = 10s, .canaries = 2, .soak = 60s});
    rollout.on_started(11, begin);
    rollout.on_started(12, begin);
    CHECK_FALSE(rollout.next_slot());
    CHECK_FALSE(becomes_ready(rollout, 11));
    CHECK_FALSE(rollout.is_on_trial());
    CHECK_FALSE(rollout.next_slot());
    rollout.on_ready(12, begin + 5s);
    CHECK(rollout.is_on_trial());
    CHECK(rollout.deadline() == begin + 65s);
    rollout.on_time(begin + 64s);
    CHECK(rollout.take_accepted().empty());
    rollout.on_time(begin + 65s);
    CHECK(rollout.take_accepted() == std::vector<WorkerId>{11, 12});
    CHECK(rollout.take_accepted().empty());
    CHECK(rollout.next_slot() == 5);
    rollout.on_started(13, begin + 65s);
    CHECK(becomes_ready(rollout, 13));
    CHECK(rollout.is_over());
    CHECK(rollout.report().replaced == 3);
}

TEST_CASE("a canary that ends on trial is the end, and the others are rejected") {
    Rollout rollout({3, 4, 5}, {.at_once = 2, .boot_timeout = 10s, .canaries = 2, .soak = 60s});
    rollout.on_started(11, begin);
    rollout.on_started(12, begin);
    SUBCASE("when all are ready") { rollout.on_ready(12, begin); }
    rollout.on_ready(11, begin);
    rollout.on_exit(11, ExitStatus::exited(1));
    CHECK(rollout.is_over());
    CHECK(rollout.report().error == Errc::canary_failed);
    CHECK(rollout.report().failed == 11);
    CHECK(rollout.rejected().size() + rollout.unwanted().size() == 1);
    CHECK(rollout.take_accepted().empty());
}

TEST_CASE("more canaries than slots are as many as slots") {
    Rollout rollout({3}, {.canaries = 5, .soak = 1s});
    rollout.on_started(11, begin);
    rollout.on_ready(11, begin);
    CHECK(rollout.is_on_trial());
    rollout.on_time(begin + 1s);
    CHECK(rollout.take_accepted().size() == 1);
    CHECK(rollout.is_over());
}

} // namespace
