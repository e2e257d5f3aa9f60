// SPDX-License-Identifier: MIT
#include <cohort/detail/logs/rotation_policy.hpp>

#include <doctest/doctest.h>

using namespace cohort;
using namespace std::chrono_literals;
using cohort::detail::RotationPolicy;

namespace {

const RotationPolicy::Time midnight{std::chrono::sys_days{std::chrono::year{2026} / 11 / 30}};

} // namespace

TEST_CASE("without limits a log has one file") {
    const RotationPolicy policy{LogOptions{}};
    CHECK_FALSE(policy.is_due({std::uint64_t{1} << 40, midnight - 10'000h}, 100, midnight));
}

TEST_CASE("a file does not get larger than it may, unless one write is") {
    const RotationPolicy policy{LogOptions{.rotate_size = 1'000}};
    CHECK_FALSE(policy.is_due({0, midnight}, 5'000, midnight)); // it would be the same with the next one
    CHECK_FALSE(policy.is_due({900, midnight}, 100, midnight));
    CHECK(policy.is_due({900, midnight}, 101, midnight));
    CHECK(policy.is_due({1'000, midnight}, 1, midnight));
}

TEST_CASE("a file has the lines of one period") {
    const RotationPolicy policy{LogOptions{.rotate_every = 24h}};
    CHECK_FALSE(policy.is_due({1, midnight}, 1, midnight + 24h - 1s));
    CHECK(policy.is_due({1, midnight - 1s}, 1, midnight));
    CHECK(policy.is_due({1, midnight - 100h}, 1, midnight));
    CHECK_FALSE(policy.is_due({0, midnight - 100h}, 1, midnight));    // nothing was written
    CHECK_FALSE(policy.is_due({1, midnight + 1h}, 1, midnight - 1h)); // the clock was set back
}
