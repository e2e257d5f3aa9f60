// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/probe_policy.hpp>

#include <doctest/doctest.h>

using cohort::Probe;
using cohort::detail::ProbePolicy;
using namespace std::chrono_literals;

namespace {

const Probe every_ten_seconds{.check = {}, .interval = 10s, .timeout = 3s, .failures = 2};

} // namespace

TEST_CASE("a probe begins every interval, counted from the one before") {
    using enum ProbePolicy::Step;
    ProbePolicy probing(every_ten_seconds);
    CHECK(probing.look(9s) == nothing);
    CHECK(probing.look(1s) == begin);
    CHECK(probing.look(2s) == nothing);
    probing.on_result(true);
    CHECK(probing.look(7s) == nothing);
    CHECK(probing.look(1s) == begin);
}

TEST_CASE("so many failures in a row, and the worker is unhealthy") {
    using enum ProbePolicy::Step;
    ProbePolicy probing(every_ten_seconds);
    const auto probe = [&](bool healthy) {
        CHECK(probing.look(10s) == begin);
        probing.on_result(healthy);
    };
    probe(false);
    CHECK_FALSE(probing.is_unhealthy());
    probe(true);
    probe(false);
    CHECK_FALSE(probing.is_unhealthy());
    probe(false);
    CHECK(probing.is_unhealthy());
    probe(true);
    CHECK_FALSE(probing.is_unhealthy());
}

TEST_CASE("a probe that takes too long is cancelled and has failed, whatever it says after that") {
    using enum ProbePolicy::Step;
    ProbePolicy probing(every_ten_seconds);
    CHECK(probing.look(10s) == begin);
    CHECK(probing.look(3s) == cancel);
    CHECK(probing.look(30s) == nothing); // it does not end: no second one
    probing.on_result(true);
    CHECK(probing.look(1s) == begin);
    probing.on_result(false);
    CHECK(probing.is_unhealthy());
}
