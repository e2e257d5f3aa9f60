// SPDX-License-Identifier: MIT
// The wheel against a plain list of deadlines, tick by tick.
#include <cohort/http/detail/serve/timer_wheel.hpp>

#include <cohort/http/detail/serve/deadlines.hpp>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

using cohort::http::detail::TimerWheel;

namespace {

struct Timed : TimerWheel::Entry {
    std::uint64_t wanted = TimerWheel::never;
    bool here = false;
};

/// Something that is about to happen when it is cancelled, so that it goes on.
struct Stubborn : cohort::http::detail::TimedConnection {
    using TimedConnection::end_waiting;
    int cancelled = 0;
    int cancelled_all = 0;

private:
    void cancel_waiting() override { ++cancelled; }
    void cancel_all() override { ++cancelled_all; }
};

std::vector<const Timed*> advance(TimerWheel& wheel) {
    std::vector<const Timed*> expired;
    wheel.advance([&expired](TimerWheel::Entry& entry) { expired.push_back(static_cast<Timed*>(&entry)); });
    return expired;
}

} // namespace

TEST_CASE("an entry expires at its deadline, once") {
    TimerWheel wheel;
    Timed entry;
    wheel.add(entry);
    wheel.set_deadline(entry, 3);
    CHECK(advance(wheel).empty());
    CHECK(advance(wheel).empty());
    CHECK(advance(wheel) == std::vector<const Timed*>{&entry});
    for (int i = 0; i != 1000; ++i) CHECK(advance(wheel).empty());
    wheel.set_deadline(entry, wheel.now() - 5);
    CHECK(advance(wheel).size() == 1);
    wheel.remove(entry);
    CHECK(wheel.size() == 0);
}

TEST_CASE("a deadline may move to and fro, and lie many turns away") {
    TimerWheel wheel;
    Timed entry;
    wheel.set_deadline(entry, 100);
    wheel.add(entry);
    wheel.set_deadline(entry, 5000);
    for (int i = 0; i != 200; ++i) CHECK(advance(wheel).empty());
    wheel.set_deadline(entry, 203);
    CHECK(advance(wheel).empty());
    wheel.set_deadline(entry, 2000);
    while (wheel.now() != 1999) CHECK(advance(wheel).empty());
    CHECK(advance(wheel).size() == 1);
    wheel.remove(entry);
}

TEST_CASE("what expires may leave, and take others with it") {
    TimerWheel wheel;
    Timed first, second;
    for (Timed* entry : {&first, &second}) {
        wheel.add(*entry);
        wheel.set_deadline(*entry, 1);
    }
    int expired = 0;
    wheel.advance([&](TimerWheel::Entry&) {
        ++expired;
        wheel.remove(first);
        wheel.remove(second);
    });
    CHECK(expired == 1);
    CHECK(wheel.size() == 0);
}

TEST_CASE("many entries at random expire as a list would have them expire") {
    std::mt19937 random(7);
    TimerWheel wheel;
    std::vector<std::unique_ptr<Timed>> all;
    for (int i = 0; i != 100; ++i) all.push_back(std::make_unique<Timed>());
    for (int round = 0; round != 5000; ++round) {
        for (int change = 0; change != 5; ++change) {
            Timed& entry = *all[random() % all.size()];
            if (random() % 8 == 0) {
                entry.here ? wheel.remove(entry) : wheel.add(entry);
                entry.here = !entry.here;
            }
            entry.wanted = wheel.now() + 1 + random() % 1000;
            wheel.set_deadline(entry, entry.wanted);
        }
        std::size_t wanted = 0;
        for (const auto& entry : all) wanted += entry->here && entry->wanted <= wheel.now() + 1 ? 1 : 0;
        const auto expired = advance(wheel);
        REQUIRE(expired.size() == wanted);
        for (const Timed* entry : expired) REQUIRE((entry->here && entry->wanted <= wheel.now()));
        for (const auto& entry : all)
            if (entry->here && entry->wanted <= wheel.now()) entry->wanted = TimerWheel::never;
        std::size_t listed = 0;
        wheel.for_each([&listed](TimerWheel::Entry&) { ++listed; });
        REQUIRE(listed == wheel.size());
    }
    for (const auto& entry : all) wheel.remove(*entry);
}

TEST_CASE("a connection that goes on waiting after its deadline is told again") {
    using namespace cohort::http::detail;
    asio::io_context io(1);
    const auto list = std::make_shared<DeadlineList>(io.get_executor(), std::chrono::milliseconds(1));
    Stubborn connection;
    list->add(connection);
    SUBCASE("when its time is over") {
        list->begin_waiting(connection, Waiting::head, list->after(1));
        while (connection.cancelled < 3) io.run_one();
        CHECK(connection.end_waiting());
    }
    SUBCASE("when it was interrupted before") {
        list->begin_waiting(connection, Waiting::upgraded, TimerWheel::never);
        list->interrupt(connection);
        while (connection.cancelled < 3) io.run_one();
        CHECK_FALSE(connection.end_waiting());
    }
    const int cancelled = connection.cancelled;
    list->begin_waiting(connection, Waiting::head, list->after(3));
    while (!connection.end_waiting()) {
        list->begin_waiting(connection, Waiting::head, connection.deadline());
        io.run_one();
    }
    CHECK(connection.cancelled == cancelled + 1);
    list->remove(connection);
    list->stop();
    io.run();
}

TEST_CASE("the deadline of work and that of waiting do not know each other") {
    using namespace cohort::http::detail;
    asio::io_context io(1);
    const auto list = std::make_shared<DeadlineList>(io.get_executor(), std::chrono::milliseconds(1));
    Stubborn connection;
    list->add(connection);
    list->begin_waiting(connection, Waiting::upgraded, TimerWheel::never);
    list->limit_work(connection, list->after(3));
    SUBCASE("when the work has ended in time") {
        CHECK_FALSE(list->end_work(connection));
        while (list->after(0) < 10) io.run_one();
        CHECK(connection.cancelled_all == 0);
    }
    SUBCASE("when it was given more time") {
        list->limit_work(connection, list->after(20));
        while (list->after(0) < 15) io.run_one();
        CHECK(connection.cancelled_all == 0);
        while (list->after(0) < 25) io.run_one();
        CHECK(connection.cancelled_all == 1);
        CHECK(list->end_work(connection));
    }
    CHECK(connection.cancelled == 0);
    list->remove(connection);
    list->stop();
    io.run();
}
