// SPDX-License-Identifier: MIT
#include <cohort/detail/process/event_log.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

using cohort::Event;
using cohort::WorkerId;
using cohort::detail::EventLog;

namespace {

/// `pid` numbers the events of a worker.
Event event_of(WorkerId worker, int number) {
    Event event;
    event.worker = worker;
    event.pid = number;
    return event;
}

} // namespace

TEST_CASE(
    "events come in their order; those of a worker that causes too many are its own last ones, and no others go") {
    asio::io_context io;
    EventLog log(io.get_executor());
    constexpr int most = EventLog::of_one_worker;
    for (int i = 0; i != 3; ++i) log.add(event_of(1, i));
    for (int i = 0; i != 10 * most; ++i) log.add(event_of(2, i));
    for (int i = 3; i != 6; ++i) log.add(event_of(1, i));
    for (int i = 0; i != 3; ++i) CHECK(log.next()->pid == i);
    for (int i = 9 * most; i != 10 * most; ++i) {
        const auto event = log.next();
        REQUIRE(event.has_value());
        CHECK(event->worker == 2);
        CHECK(event->pid == i);
    }
    for (int i = 3; i != 6; ++i) CHECK(log.next()->pid == i);
    CHECK_FALSE(log.next().has_value());
    log.add(event_of(2, 0)); // it may have as many again
    CHECK(log.next()->worker == 2);
}

TEST_CASE("nobody asks: the newest events of all are kept") {
    asio::io_context io;
    EventLog log(io.get_executor());
    constexpr WorkerId workers = 2 * EventLog::capacity;
    for (WorkerId worker = 1; worker <= workers; ++worker) log.add(event_of(worker, 0));
    for (WorkerId worker = workers - EventLog::capacity + 1; worker <= workers; ++worker)
        CHECK(log.next()->worker == worker);
    CHECK_FALSE(log.next().has_value());
}
