// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/recycle_policy.hpp>

#include <doctest/doctest.h>

using cohort::Backoff;
using cohort::Recycle;
using cohort::detail::RecyclePolicy;
using cohort::detail::ReplacementWait;
using namespace std::chrono_literals;

TEST_CASE("a worker is due at any of the limits, and none is a limit by itself") {
    CHECK_FALSE(RecyclePolicy::is_wanted({}));
    CHECK_FALSE(RecyclePolicy({}, 1).is_due({1'000'000, 10'000h, 1'000'000}));

    const Recycle by_requests{.requests = 100};
    CHECK(RecyclePolicy::is_wanted(by_requests));
    CHECK_FALSE(RecyclePolicy(by_requests, 0).is_due({99, 10'000h, 1'000'000}));
    CHECK(RecyclePolicy(by_requests, 0).is_due({100, 0ms, 0}));

    const Recycle by_age{.age = 10s};
    CHECK(RecyclePolicy::is_wanted(by_age));
    CHECK_FALSE(RecyclePolicy(by_age, 0).is_due({1'000, 9'999ms, 1'000'000}));
    CHECK(RecyclePolicy(by_age, 0).is_due({0, 10s, 0}));

    const Recycle by_memory{.memory = 1'000, .jitter = 1};
    CHECK(RecyclePolicy::is_wanted(by_memory));
    CHECK_FALSE(RecyclePolicy(by_memory, 1).is_due({1'000, 10h, 999})); // chance is for the others
    CHECK(RecyclePolicy(by_memory, 1).is_due({0, 0ms, 1'000}));
}

TEST_CASE("chance shortens requests and age, by no more than its share and never to nothing") {
    const Recycle limits{.requests = 100, .age = 10s, .jitter = 0.2};
    CHECK(RecyclePolicy(limits, 1).is_due({80, 0ms, 0}));
    CHECK_FALSE(RecyclePolicy(limits, 1).is_due({79, 7'999ms, 0}));
    CHECK(RecyclePolicy(limits, 1).is_due({0, 8s, 0}));
    CHECK(RecyclePolicy(limits, 0.5).is_due({90, 0ms, 0}));
    CHECK_FALSE(RecyclePolicy(limits, 0.5).is_due({89, 0ms, 0}));
    CHECK_FALSE(RecyclePolicy({.requests = 5, .jitter = 1}, 1).is_due({0, 0ms, 0}));
    CHECK(RecyclePolicy({.requests = 5, .jitter = 1}, 1).is_due({1, 0ms, 0}));
}

TEST_CASE("a replacement that failed is tried again later and later") {
    ReplacementWait wait({.first = 1s, .longest = 3s});
    CHECK(wait.look(0s));
    wait.on_failure();
    CHECK_FALSE(wait.look(999ms));
    CHECK(wait.look(1ms));
    wait.on_failure();
    CHECK_FALSE(wait.look(1'999ms));
    CHECK(wait.look(1ms));
    for (int i = 0; i < 100; ++i) wait.on_failure();
    CHECK_FALSE(wait.look(2'999ms));
    CHECK(wait.look(1ms));
}
