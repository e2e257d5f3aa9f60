// SPDX-License-Identifier: MIT
#include <cohort/detail/process/event_log.hpp>

#include <cohort/crash_report.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

using cohort::Event;
using cohort::detail::EventLog;

namespace {

/// `pid` numbers the events of a slot.
Event event_of(unsigned slot, int number) {
    Event event;
    event.slot = slot;
    event.pid = number;
    return event;
}

} // namespace

TEST_CASE("events come in their order; those of slots that cause too many are their own last ones, and no others go") {
    asio::io_context io;
    EventLog log(io.get_executor(), 1'000);
    constexpr unsigned floods = 20;
    constexpr int capacity = 1'000;
    for (int i = 0; i != 3; ++i) log.add(event_of(0, i));
    for (int i = 0; i != capacity; ++i)
        for (unsigned slot = 1; slot <= floods; ++slot) log.add(event_of(slot, i));
    for (int i = 3; i != 6; ++i) log.add(event_of(0, i));
    for (int i = 0; i != 3; ++i) CHECK(log.next()->pid == i);
    int last[floods + 1] = {};
    for (int i = 0; i != capacity - 6; ++i) {
        const auto event = log.next();
        REQUIRE(event.has_value());
        REQUIRE(event->slot != 0);
        CHECK(event->pid > last[event->slot]);
        last[event->slot] = event->pid;
    }
    for (unsigned slot = 1; slot <= floods; ++slot) CHECK(last[slot] == capacity - 1);
    for (int i = 3; i != 6; ++i) CHECK(log.next()->pid == i);
    CHECK_FALSE(log.next().has_value());
    log.add(event_of(2, 0));
    CHECK(log.next()->slot == 2);
}

TEST_CASE("of more reports of crashes than there is room for, the oldest of the slot with most go; events stay") {
    asio::io_context io;
    EventLog log(io.get_executor(), 1'000);
    const auto crash_of = [](unsigned slot, int number) {
        Event event = event_of(slot, number);
        event.crash = std::make_shared<cohort::CrashReport>();
        return event;
    };
    log.add(crash_of(1, 0)); // it stays
    constexpr int crashes = 40;
    for (int i = 0; i != crashes; ++i) {
        log.add(crash_of(0, i));
        log.add(event_of(0, i));
    }
    CHECK(log.next()->crash != nullptr);
    for (int i = 0; i != crashes; ++i) {
        const bool is_kept = i + static_cast<int>(EventLog::most_reports) - 1 >= crashes;
        CHECK((log.next()->crash != nullptr) == is_kept);
        CHECK(log.next()->crash == nullptr);
    }
}
