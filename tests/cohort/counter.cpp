// SPDX-License-Identifier: MIT
#include <cohort/counter.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>

TEST_CASE("a counter's copies count the same") {
    std::atomic<std::int64_t> value = 0;
    cohort::Counter one(value);
    cohort::Counter other = one;
    one.add();
    other.add(-3);
    CHECK(one.value() == -2);
    other.set(7);
    CHECK(one.value() == 7);
}
