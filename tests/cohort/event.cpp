// SPDX-License-Identifier: MIT
#include <cohort/event.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

using cohort::WorkerState;

TEST_CASE("every state has a name of its own") {
    std::set<std::string_view> names{"unknown"};
    for (int state = 0; state <= static_cast<int>(WorkerState::exited); ++state)
        CHECK(names.insert(to_string(static_cast<WorkerState>(state))).second);
    CHECK(to_string(static_cast<WorkerState>(99)) == "unknown");
    static_assert(to_string(WorkerState::online) == "online");
}

TEST_CASE("states can be compared: a worker only moves forward") {
    CHECK(WorkerState::forked < WorkerState::online);
    CHECK(WorkerState::online < WorkerState::listening);
    CHECK(WorkerState::listening < WorkerState::draining);
    CHECK(WorkerState::draining < WorkerState::exited);
}

TEST_CASE("an event says only what it knows") {
    const cohort::Event event{.kind = WorkerState::online, .worker = 3, .slot = 1, .pid = 42};
    CHECK_FALSE(event.endpoint);
    CHECK_FALSE(event.status);
    CHECK_FALSE(event.voluntary);
    CHECK_FALSE(event.error);
}
