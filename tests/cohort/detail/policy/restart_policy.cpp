// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/restart_policy.hpp>

#include <doctest/doctest.h>

#include <vector>

using cohort::Backoff;
using cohort::ExitStatus;
using cohort::Restart;
using cohort::detail::RestartPolicy;
using namespace std::chrono_literals;

namespace {

const Backoff defaults;
const auto success = ExitStatus::exited(0);
const auto failure = ExitStatus::exited(1);
const auto crash = ExitStatus::signaled(SIGSEGV);
const auto long_life = defaults.stable;
const auto short_life = defaults.stable - 1ms;
const RestartPolicy::End failed_start{crash, false, false, short_life};
const RestartPolicy::End served_once{crash, false, true, short_life};

/// Before the successor of a worker that was the `life`-th in a row to fail.
std::chrono::milliseconds policy_wait(unsigned life) {
    auto wait = defaults.first;
    for (unsigned i = defaults.at_once + 1; i < life; ++i) wait = std::min(2 * wait, defaults.longest);
    return wait;
}

} // namespace

TEST_CASE("who gets a successor") {
    struct Row {
        Restart restart;
        ExitStatus status;
        bool voluntary;
        bool successor;
    };
    const Row rows[] = {
        {Restart::permanent, success, false, true}, {Restart::permanent, failure, false, true},
        {Restart::permanent, crash, false, true},   {Restart::permanent, success, true, false},
        {Restart::permanent, crash, true, false},   {Restart::transient, success, false, false},
        {Restart::transient, failure, false, true}, {Restart::transient, crash, false, true},
        {Restart::transient, failure, true, false}, {Restart::temporary, success, false, false},
        {Restart::temporary, crash, false, false},  {Restart::temporary, crash, true, false},
    };
    for (const auto& row : rows) {
        CAPTURE(static_cast<int>(row.restart));
        CAPTURE(row.status.describe());
        CAPTURE(row.voluntary);
        RestartPolicy policy{row.restart};
        const auto answer = policy.on_exit({row.status, row.voluntary, false, long_life});
        CHECK(answer.has_value() == row.successor);
        CHECK_FALSE(policy.has_given_up());
        if (answer) CHECK(*answer == 0ms);
    }
}

TEST_CASE("one that a signal has told to leave is replaced, and that is no failure; what else it ends with is one") {
    for (const Restart restart : {Restart::permanent, Restart::transient, Restart::temporary}) {
        RestartPolicy policy{restart, {.restarts = 1}};
        const auto end = [&policy](const ExitStatus& status) {
            return policy.on_exit({.status = status, .lived = long_life, .to_be_replaced = true});
        };
        const bool replaces = restart != Restart::temporary;
        for (int i = 0; i < 4; ++i) CHECK(end(success).has_value() == replaces);
        CHECK_FALSE(policy.has_given_up());
        CHECK_FALSE(policy.on_exit({.status = success, .voluntary = true, .lived = long_life, .to_be_replaced = true}));
        // A worker may say of itself that it was told to.
        CHECK(end(failure).has_value() == replaces);
        CHECK_FALSE(end(crash).has_value());
        CHECK(policy.has_given_up() == replaces);
    }
    // A program that sends it to itself as soon as it runs does not fork without pause.
    RestartPolicy policy{Restart::permanent};
    for (unsigned life = 1; life < 20; ++life)
        CHECK(policy.on_exit({.status = success, .lived = short_life, .to_be_replaced = true}) ==
              (life <= defaults.at_once ? 0ms : defaults.first));
}

TEST_CASE("a few short lives are answered at once, more of them later") {
    RestartPolicy policy{Restart::permanent};
    for (unsigned life = 1; life < 100; ++life) {
        CAPTURE(life);
        CHECK(policy.on_exit(served_once) == (life <= defaults.at_once ? 0ms : defaults.first));
        CHECK_FALSE(policy.has_given_up());
    }
    CHECK(policy.on_exit({success, false, true, long_life}) == 0ms);
    CHECK(policy.on_exit(served_once) == 0ms);
}

TEST_CASE("each further failed start is answered after twice the time, up to a limit") {
    RestartPolicy policy{Restart::permanent, {.failed_starts = 1'000}};
    const std::vector<std::chrono::milliseconds> waits{0ms,     0ms,     0ms,     100ms,    200ms,    400ms,   800ms,
                                                       1'600ms, 3'200ms, 6'400ms, 12'800ms, 15'000ms, 15'000ms};
    for (const auto wait : waits) CHECK(policy.on_exit(failed_start) == wait);
    for (int life = 0; life < 500; ++life) CHECK(policy.on_exit(failed_start) == 15'000ms);
    // A long life, and all is forgotten.
    CHECK(policy.on_exit({crash, false, false, long_life}) == 0ms);
    for (const auto wait : waits) CHECK(policy.on_exit(failed_start) == wait);
}

TEST_CASE("chance shortens a wait, by no more than its share") {
    for (const double chance : {0.0, 0.5, 1.0}) {
        RestartPolicy policy{Restart::permanent, {.at_once = 0, .jitter = 0.5}};
        auto end = served_once;
        end.chance = chance;
        CHECK(policy.on_exit(end) == std::chrono::milliseconds(static_cast<int>(100 - 50 * chance)));
    }
}

TEST_CASE("a worker that fails before it listens, again and again, is given up") {
    RestartPolicy policy{Restart::permanent};
    for (unsigned life = 1; life < defaults.failed_starts; ++life) {
        CAPTURE(life);
        CHECK(policy.on_exit(failed_start));
        CHECK_FALSE(policy.has_given_up());
    }
    CHECK_FALSE(policy.on_exit(failed_start));
    CHECK(policy.has_given_up());
}

TEST_CASE("a worker that was never ready has failed to start, however long it tried and whatever it did") {
    RestartPolicy policy{Restart::permanent};
    RestartPolicy::End end{ExitStatus::signaled(SIGKILL), false, true, 60s};
    end.not_ready = true;
    for (unsigned life = 1; life < defaults.failed_starts; ++life)
        CHECK(policy.on_exit(end).value() == (life <= defaults.at_once ? 0ms : policy_wait(life)));
    CHECK_FALSE(policy.on_exit(end));
    CHECK(policy.has_given_up());
}

TEST_CASE("failed starts are forgotten once a worker listened, ended well or lived long enough") {
    const RestartPolicy::End starts[] = {served_once, {success, false, false, 0ms}, {crash, false, false, long_life}};
    for (const auto& start : starts) {
        RestartPolicy policy{Restart::permanent};
        for (unsigned round = 0; round < 3; ++round) {
            for (unsigned life = 1; life < defaults.failed_starts; ++life) CHECK(policy.on_exit(failed_start));
            CHECK(policy.on_exit(start));
        }
    }
}

TEST_CASE("more restarts within a period than allowed, and the slot is given up") {
    RestartPolicy policy{Restart::permanent, {.restarts = 2, .period = 5s}};
    const auto at = [](std::chrono::seconds time) {
        auto end = served_once;
        end.lived = long_life;
        end.when = RestartPolicy::Clock::time_point(time);
        return end;
    };
    CHECK(policy.on_exit(at(100s)));
    CHECK(policy.on_exit(at(104s)));
    CHECK(policy.on_exit(at(105s))); // the first is out of the period
    CHECK_FALSE(policy.on_exit(at(108s)));
    CHECK(policy.has_given_up());
    CHECK_FALSE(policy.on_exit(at(1'000s)));
}
