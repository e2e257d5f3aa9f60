// SPDX-License-Identifier: MIT
#include <cohort/detail/async/timer.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <chrono>
#include <memory>
#include <optional>

using namespace cohort::detail;
using namespace std::chrono_literals;

namespace {

struct TimerCounter {
    void count() { ++calls; }
    int calls = 0;
};

/// What has a timer of its own, and sets it again as long as it is asked to.
struct Ticker : std::enable_shared_from_this<Ticker> {
    explicit Ticker(asio::io_context& io) : timer(io.get_executor()) {}
    void tick() {
        set_in_action = timer.is_set();
        ++ticks;
        if (--left > 0) start();
    }
    void start() { timer.expire_after(1ms, action<&Ticker::tick>(this)); }
    void start_owned() { timer.expire_after(1ms, action<&Ticker::tick>(this, shared_from_this())); }

    Timer timer;
    int left = 0;
    int ticks = 0;
    bool set_in_action = false;
};

const auto past = Timer::Clock::now() - 1s; // the expiry is due as soon as the loop turns

} // namespace

TEST_CASE("a timer calls its action once, when the time is over") {
    asio::io_context io;
    Timer timer(io.get_executor());
    TimerCounter counter;
    const auto begin = Timer::Clock::now();
    timer.expire_after(20ms, action<&TimerCounter::count>(&counter));
    CHECK(timer.is_set());
    io.run();
    CHECK(counter.calls == 1);
    CHECK(Timer::Clock::now() - begin >= 20ms);
    CHECK_FALSE(timer.is_set());
}

TEST_CASE("whatever happens to a timer before its action is called, it is not called, although it is due") {
    asio::io_context io;
    std::optional<Timer> timer(io.get_executor());
    TimerCounter first, second;
    int expected = 0; // calls of the second
    timer->expire_at(past, action<&TimerCounter::count>(&first));
    SUBCASE("cancelled") {
        timer->cancel();
        CHECK_FALSE(timer->is_set());
    }
    SUBCASE("destroyed") { timer.reset(); }
    SUBCASE("set again") {
        timer->expire_at(past, action<&TimerCounter::count>(&second));
        CHECK(timer->is_set());
        expected = 1;
    }
    SUBCASE("cancelled and set again") {
        timer->cancel();
        timer->expire_at(past, action<&TimerCounter::count>(&second));
        expected = 1;
    }
    SUBCASE("moved and cancelled") {
        Timer other(std::move(*timer));
        other.cancel();
    }
    io.run();
    CHECK(first.calls == 0);
    CHECK(second.calls == expected);
}

TEST_CASE("an action may set its timer again, which is not set meanwhile") {
    asio::io_context io;
    Ticker ticker(io);
    ticker.left = 3;
    ticker.start();
    io.run();
    CHECK(ticker.ticks == 3);
    CHECK_FALSE(ticker.set_in_action);
}

TEST_CASE("an action may own what the timer is a member of: until it is called, cancelled, or the loop goes") {
    std::weak_ptr<Ticker> left;
    {
        asio::io_context io;
        auto ticker = std::make_shared<Ticker>(io);
        left = ticker;
        ticker->start_owned();
        SUBCASE("called") {
            ticker.reset();
            CHECK_FALSE(left.expired());
            io.run();
            CHECK(left.expired());
        }
        SUBCASE("cancelled") {
            ticker->timer.cancel();
            io.run();
            CHECK(ticker->ticks == 0);
            CHECK(ticker.use_count() == 1);
        }
        SUBCASE("the loop goes") { ticker.reset(); }
    }
    CHECK(left.expired());
}
