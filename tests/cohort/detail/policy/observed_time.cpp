// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/observed_time.hpp>

#include <doctest/doctest.h>

using namespace cohort::detail;
using namespace std::chrono_literals;

TEST_CASE("between two looks passes what passes, but never more than the most") {
    ObservedTime time(2s);
    time.start(ObservedTime::Clock::time_point(100s));
    CHECK(time.look(ObservedTime::Clock::time_point(101s)) == 1s);
    CHECK(time.look(ObservedTime::Clock::time_point(101s)) == 0s);
    CHECK(time.look(ObservedTime::Clock::time_point(5'000s)) == 2s); // nobody looked
    CHECK(time.look(ObservedTime::Clock::time_point(5'001s)) == 1s);
    CHECK(time.look(ObservedTime::Clock::time_point(4'000s)) == 0s);
}

TEST_CASE("a time reaches a limit, never the longest there is") {
    CHECK(reached(5ms, 5ms));
    CHECK_FALSE(reached(5ms - 1ns, 5ms));
    CHECK_FALSE(reached(ObservedTime::Clock::duration::max(), std::chrono::milliseconds::max()));
}
