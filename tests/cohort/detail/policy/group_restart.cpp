// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/group_restart.hpp>

#include <doctest/doctest.h>

using namespace cohort::detail;
using namespace std::chrono_literals;

namespace {

using Slots = std::vector<unsigned>;

TEST_CASE("all slots start again, in the order given, when the last worker has gone") {
    GroupRestart restart;
    CHECK_FALSE(restart.on_gone(0, 7)); // nothing is under way
    restart.begin(0, {2, 0, 1}, {5, 6}, 30ms);
    CHECK(restart.concerns(0));
    CHECK_FALSE(restart.on_gone(0, 7)); // the one that crashed
    CHECK_FALSE(restart.on_gone(0, 6));
    CHECK_FALSE(restart.on_gone(0, 6)); // said twice
    const auto start = restart.on_gone(0, 5);
    REQUIRE(start);
    CHECK(start->slots == Slots{2, 0, 1});
    CHECK(start->delay == 30ms);
    CHECK_FALSE(restart.concerns(0));
}

TEST_CASE("a worker that is alone starts again when it has gone") {
    GroupRestart restart;
    restart.begin(0, {4}, {}, 0ms);
    const auto start = restart.on_gone(0, 9);
    REQUIRE(start);
    CHECK(start->slots == Slots{4});
}

TEST_CASE("when the slot is given up the others leave too and nobody comes") {
    GroupRestart restart;
    restart.begin(0, {0, 1}, {2}, std::nullopt);
    CHECK(restart.concerns(0));
    const auto start = restart.on_gone(0, 2);
    REQUIRE(start);
    CHECK(start->slots.empty());
}

TEST_CASE("groups are apart, and a slot that is not wanted any more does not start") {
    GroupRestart restart;
    restart.begin(0, {0, 1}, {1}, 0ms);
    restart.begin(3, {2, 5}, {4}, 0ms);
    CHECK_FALSE(restart.on_gone(0, 4));
    restart.forget(3, 5);
    restart.forget(9, 0);
    CHECK(restart.on_gone(3, 4)->slots == Slots{2});
    CHECK_FALSE(restart.concerns(3));
    CHECK(restart.on_gone(0, 1)->slots == Slots{0, 1});
}

} // namespace
