// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/autoscale_policy.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <random>

using namespace cohort;
using namespace cohort::detail;

namespace {

Autoscale limits(unsigned up_after = 2, unsigned down_after = 3) {
    Autoscale limits;
    limits.least = 2;
    limits.most = 5;
    limits.load_per_worker = 10;
    limits.headroom = 0.2;
    limits.up_after = up_after;
    limits.down_after = down_after;
    return limits;
}

TEST_CASE("too much load for long enough is answered with one worker more, up to the most") {
    AutoscalePolicy scaler(limits());
    CHECK(scaler.look(2, 100) == 2); // once is not enough
    CHECK(scaler.look(2, 100) == 3);
    CHECK(scaler.look(3, 100) == 3); // counted anew
    CHECK(scaler.look(3, 100) == 4);
    CHECK(scaler.look(4, 100) == 4);
    CHECK(scaler.look(4, 100) == 5);
    for (int i = 0; i < 10; ++i) CHECK(scaler.look(5, 1000) == 5);
}

TEST_CASE("little load for long enough is answered with one worker less, down to the least") {
    AutoscalePolicy scaler(limits());
    for (const unsigned workers : {5U, 4U, 3U}) {
        CHECK(scaler.look(workers, 0) == workers);
        CHECK(scaler.look(workers, 0) == workers);
        CHECK(scaler.look(workers, 0) == workers - 1);
    }
    for (int i = 0; i < 10; ++i) CHECK(scaler.look(2, 0) == 2);
}

TEST_CASE("a look that says otherwise begins the count anew") {
    AutoscalePolicy scaler(limits());
    for (int i = 0; i < 20; ++i) {
        CHECK(scaler.look(3, 31) == 3);
        CHECK(scaler.look(3, 30) == 3); // as much as three are for
        CHECK(scaler.look(3, 16) == 3); // few enough for two of them
        CHECK(scaler.look(3, 16) == 3);
        CHECK(scaler.look(3, 17) == 3); // two would have no headroom
    }
}

TEST_CASE("a number out of its limits is brought back at once") {
    AutoscalePolicy scaler(limits());
    CHECK(scaler.look(0, 0) == 2);
    CHECK(scaler.look(1, 100) == 2);
    CHECK(scaler.look(9, 1000) == 5);
    Autoscale one = limits();
    one.most = 1; // less than the least: that many, always
    CHECK(AutoscalePolicy(one).look(7, 1000) == 2);
}

TEST_CASE("a load that swings about an edge does not make the number swing") {
    std::minstd_rand random(11);
    for (const unsigned begin : {2U, 3U, 4U}) {
        AutoscalePolicy scaler(limits(1, 1)); // as nervous as it can be
        unsigned workers = begin;
        int changes = 0;
        for (int i = 0; i < 10'000; ++i) {
            const double load = 10.0 * begin + static_cast<double>(random() % 200) / 100 - 1; // the edge, and 1 around
            const unsigned wanted = scaler.look(workers, load);
            changes += wanted != workers;
            workers = wanted;
        }
        CHECK(changes <= 1);
        CHECK(workers == begin + 1);
    }
}

TEST_CASE("a steady load ends at the number that is enough for it") {
    for (double load = 0; load < 60; load += 0.5) {
        for (unsigned begin = 0; begin < 8; ++begin) {
            AutoscalePolicy scaler(limits());
            unsigned workers = begin;
            for (int i = 0; i < 100; ++i) workers = scaler.look(workers, load);
            const auto enough = std::clamp(static_cast<unsigned>(std::ceil(load / 10)), 2U, 5U);
            CHECK(workers >= enough);
            CHECK(workers <= std::min(5U, enough + 1)); // one more, if it came from above
            for (int i = 0; i < 20; ++i) CHECK(scaler.look(workers, load) == workers);
        }
    }
}

} // namespace
