// SPDX-License-Identifier: MIT
#include <cohort/detail/supervise/cpu_time.hpp>

#include <doctest/doctest.h>

#include <ctime>

#include <unistd.h>

using namespace std::chrono_literals;
using cohort::detail::cpu_time;

TEST_CASE("the time that a process has used grows as it uses it, and of no process there is none") {
    const auto before = cpu_time(::getpid());
    REQUIRE(before.has_value());
    timespec used{};
    const auto own_time = [&used] {
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
    };
    for (const auto end = own_time() + 60ms; own_time() < end;) {
    }
    const auto behind = cpu_time(::getpid());
    REQUIRE(behind.has_value());
    CHECK(*behind - *before >= 40ms); // in steps of 10
    CHECK(*behind <= own_time() + 20ms);
    CHECK_FALSE(cpu_time(-1).has_value());
}
