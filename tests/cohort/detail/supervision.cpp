// SPDX-License-Identifier: MIT
#include <cohort/detail/supervision.hpp>

#include <doctest/doctest.h>

using cohort::ExitStatus;
using cohort::Restart;
using cohort::detail::RestartPolicy;
using namespace std::chrono_literals;

namespace {

const auto success = ExitStatus::exited(0);
const auto failure = ExitStatus::exited(1);
const auto crash = ExitStatus::signaled(SIGSEGV);
constexpr auto long_life = RestartPolicy::stable;
constexpr auto short_life = RestartPolicy::stable - 1ms;
const RestartPolicy::End failed_start{crash, false, false, short_life};
const RestartPolicy::End served_once{crash, false, true, short_life};

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

TEST_CASE("a few short lives are answered at once, more of them later") {
    RestartPolicy policy{Restart::permanent};
    for (unsigned life = 1; life < 3 * RestartPolicy::limit; ++life) {
        CAPTURE(life);
        CHECK(policy.on_exit(served_once) == (life <= RestartPolicy::burst ? 0ms : RestartPolicy::delay));
        CHECK_FALSE(policy.has_given_up());
    }
    CHECK(policy.on_exit({success, false, true, long_life}) == 0ms);
    CHECK(policy.on_exit(served_once) == 0ms);
}

TEST_CASE("a worker that fails before it listens, again and again, is given up") {
    RestartPolicy policy{Restart::permanent};
    for (unsigned life = 1; life < RestartPolicy::limit; ++life) {
        CAPTURE(life);
        const auto answer = policy.on_exit(failed_start);
        REQUIRE(answer);
        CHECK(*answer == (life <= RestartPolicy::burst ? 0ms : RestartPolicy::delay));
        CHECK_FALSE(policy.has_given_up());
    }
    CHECK_FALSE(policy.on_exit(failed_start));
    CHECK(policy.has_given_up());
}

TEST_CASE("failed starts are forgotten once a worker listened, ended well or lived long enough") {
    const RestartPolicy::End starts[] = {served_once, {success, false, false, 0ms}, {crash, false, false, long_life}};
    for (const auto& start : starts) {
        RestartPolicy policy{Restart::permanent};
        for (unsigned round = 0; round < 3; ++round) {
            for (unsigned life = 1; life < RestartPolicy::limit; ++life) CHECK(policy.on_exit(failed_start));
            CHECK(policy.on_exit(start));
        }
    }
}
