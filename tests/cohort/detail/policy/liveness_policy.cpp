// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/liveness_policy.hpp>

#include <doctest/doctest.h>

#include <vector>

using cohort::Liveness;
using cohort::detail::LivenessPolicy;
using enum LivenessPolicy::Finding;
using namespace std::chrono_literals;

namespace {

const Liveness pulse_limits{.interval = 1s, .slow_after = 3s, .timeout = 6s, .kill_after = 2s};

/// What is found in looks one second apart.
std::vector<LivenessPolicy::Finding> look(LivenessPolicy& pulse, const std::vector<std::uint64_t>& beats) {
    std::vector<LivenessPolicy::Finding> found;
    for (const auto count : beats) found.push_back(pulse.look(count, 1s));
    return found;
}

} // namespace

TEST_CASE("a worker that beats is fine, however long") {
    LivenessPolicy pulse(pulse_limits);
    for (std::uint64_t beat = 1; beat < 1'000; ++beat) CHECK(pulse.look(beat, 2s) == nothing);
}

TEST_CASE("a worker that is silent for a while is slow, once, and then not any more") {
    LivenessPolicy pulse(pulse_limits);
    CHECK(look(pulse, {1, 1, 1, 1, 1, 1}) == std::vector{nothing, nothing, nothing, slow, nothing, nothing});
    CHECK(look(pulse, {2, 2, 2, 3, 3, 3, 3}) ==
          std::vector{recovered, nothing, nothing, nothing, nothing, nothing, slow});
}

TEST_CASE("a worker that stays silent is stuck, and dead if that does not end it") {
    LivenessPolicy pulse(pulse_limits);
    CHECK(look(pulse, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}) ==
          std::vector{nothing, nothing, nothing, slow, nothing, nothing, stuck, nothing, dead, dead});
}

TEST_CASE("before a worker is ended that is known, and it can be excused for as long as somebody holds it") {
    LivenessPolicy pulse(pulse_limits);
    look(pulse, {1, 1, 1, 1, 1, 1});
    for (int i = 0; i < 3; ++i) {
        CHECK(pulse.would_end(1, 1s));
        CHECK_FALSE(pulse.would_end(2, 1s)); // it beats again
        pulse.excuse();
        CHECK_FALSE(pulse.would_end(1, 1s));
        CHECK(look(pulse, {1, 1, 1, 1, 1}) == std::vector(5, nothing));
    }
    CHECK(look(pulse, {1, 1}) == std::vector{stuck, nothing});
    CHECK(pulse.would_end(1, 1s));
    pulse.excuse();
    CHECK(look(pulse, {1, 1}) == std::vector{nothing, dead});
}

TEST_CASE("once it has been aborted a beat is too late") {
    LivenessPolicy pulse(pulse_limits);
    look(pulse, {1, 1, 1, 1, 1, 1, 1});
    CHECK(look(pulse, {2, 3}) == std::vector{nothing, dead});
}

TEST_CASE("a worker that never beat is found too, and limits may be as long as there is") {
    LivenessPolicy pulse(pulse_limits);
    CHECK(look(pulse, {0, 0, 0, 0, 0, 0}) == std::vector{nothing, nothing, slow, nothing, nothing, stuck});
    LivenessPolicy patient({.slow_after = Liveness::milliseconds::max(), .timeout = Liveness::milliseconds::max()});
    for (int i = 0; i < 100; ++i) CHECK(patient.look(0, 24h) == nothing);
}

TEST_CASE("a worker is told an interval in milliseconds, whatever was chosen") {
    CHECK(cohort::detail::beat_interval({}) == 1'000);
    CHECK(cohort::detail::beat_interval({.interval = 0s}) == 0);
    CHECK(cohort::detail::beat_interval({.interval = -1s}) == 0);
    CHECK(cohort::detail::beat_interval({.interval = Liveness::milliseconds::max()}) == 4'294'967'295);
}

TEST_CASE("with a short timeout a worker is stuck without having been slow") {
    LivenessPolicy pulse({.slow_after = 5s, .timeout = 2s});
    CHECK(look(pulse, {0, 0}) == std::vector{nothing, stuck});
}
