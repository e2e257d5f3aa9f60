// SPDX-License-Identifier: MIT
#include <cohort/timeout.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

using cohort::Timeout;
using namespace std::chrono_literals;
using Clock = Timeout::Clock;
using Years = std::chrono::duration<std::int64_t, std::ratio<31'556'952>>;
using Picoseconds = std::chrono::duration<std::int64_t, std::pico>;
using Real = std::chrono::duration<double>;

namespace {

constexpr auto none = Clock::duration::max();

TEST_CASE("a timeout of any duration is as long, up to what the clock can count") {
    CHECK(Timeout().duration() == none);
    CHECK(Timeout(0s).duration() == 0s);
    CHECK(Timeout(1ns).duration() == 1ns);
    CHECK(Timeout(15ms).duration() == 15ms);
    CHECK(Timeout(24h * 36'525).duration() == 24h * 36'525);
    CHECK(Timeout(Picoseconds(5'000)).duration() == 5ns);
    CHECK(Timeout(Picoseconds::max()).duration() == std::chrono::floor<Clock::duration>(Picoseconds::max()));
    CHECK(Timeout(Real(0.25)).duration() == 250ms);
    CHECK(Timeout(Clock::duration::max() - 1ns).duration() > 24h * 36'525);
}

TEST_CASE("a timeout that is longer never comes to its end") {
    CHECK(Timeout(std::chrono::milliseconds::max()).duration() == none);
    CHECK(Timeout(std::chrono::seconds::max()).duration() == none);
    CHECK(Timeout(std::chrono::hours::max()).duration() == none);
    CHECK(Timeout(Years(1'000)).duration() == none);
    CHECK(Timeout(Real(1e30)).duration() == none);
    CHECK(Timeout(Real(std::numeric_limits<double>::infinity())).duration() == none);
    CHECK(Timeout(Real(std::numeric_limits<double>::quiet_NaN())).duration() == none);
    CHECK(Timeout().deadline() == Clock::time_point::max());
    CHECK(Timeout(Clock::duration::max() - 1ns).deadline() == Clock::time_point::max());
}

TEST_CASE("a negative timeout is over at once") {
    const auto now = Clock::now();
    CHECK(Timeout(-1ns).deadline(now) == now);
    CHECK(Timeout(-5min).deadline(now) == now);
    CHECK(Timeout(std::chrono::milliseconds::min()).deadline(now) == now);
    CHECK(Timeout(Clock::duration::min()).deadline(now) == now);
    CHECK(Timeout(Real(-1e30)).deadline(now) == now);
}

TEST_CASE("the end of a timeout") {
    const auto now = Clock::now();
    CHECK(Timeout(15ms).deadline(now) == now + 15ms);
    CHECK(Timeout(15ms).deadline() >= now + 15ms);
}

} // namespace
