// SPDX-License-Identifier: MIT
#include <cohort/detail/async/notifier.hpp>

#include <doctest/doctest.h>

#include <support/run_for.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <deque>
#include <memory>
#include <vector>

using namespace std::chrono_literals;
using asio::experimental::awaitable_operators::operator||;
using cohort::Task;
using cohort::detail::Notifier;

namespace {

Task<> count_wakes(Notifier& notifier, int times, int& wakes) {
    for (int i = 0; i < times; ++i) {
        co_await notifier.wait();
        ++wakes;
    }
}

/// A queue as the cluster's own are: taken from at once, or after a wait.
struct Queue {
    explicit Queue(asio::any_io_executor executor) : arrival(std::move(executor)) {}

    void put(int value) {
        values.push_back(value);
        arrival.notify_all();
    }
    Task<int> get() {
        if (!co_await cohort::detail::switched()) co_await asio::post(asio::use_awaitable);
        for (;;) {
            cohort::detail::throw_if_cancelled(co_await asio::this_coro::cancellation_state);
            if (!values.empty()) break;
            co_await arrival.wait();
        }
        const int value = values.front();
        values.pop_front();
        co_return value;
    }

    std::deque<int> values;
    Notifier arrival;
};

Task<> put_all(Queue& queue, int count, std::chrono::milliseconds pause) {
    for (int i = 0; i < count; ++i) {
        queue.put(i);
        if (i % 7 == 0)
            co_await test::sleep_for(pause);
        else
            co_await asio::post(asio::use_awaitable);
    }
}

Task<> get_all(Queue& queue, int count, std::chrono::milliseconds timeout, std::vector<int>& got, int& given_up) {
    while (static_cast<int>(got.size()) < count) {
        const auto result = co_await (queue.get() || test::sleep_for(timeout));
        if (result.index() == 0)
            got.push_back(std::get<0>(result));
        else
            ++given_up;
    }
}

Task<> wait_or_give_up(Notifier& notifier, std::chrono::milliseconds timeout, std::size_t& winner) {
    winner = co_await test::either(notifier.wait(), test::sleep_for(timeout));
}

} // namespace

TEST_CASE("each wake-up wakes who waits, and is not remembered for others") {
    asio::io_context io;
    Notifier notifier(io.get_executor());
    notifier.notify_all();
    int wakes = 0;
    for (int i = 0; i < 3; ++i) test::start(io, count_wakes(notifier, 2, wakes));
    test::settle(io);
    CHECK(wakes == 0);
    CHECK(notifier.has_waiters());

    notifier.notify_one();
    CHECK(wakes == 0); // never within the call
    test::settle(io);
    CHECK(wakes == 1);

    notifier.notify_all();
    test::settle(io);
    CHECK(wakes == 4);
    notifier.notify_all();
    test::settle(io);
    CHECK(wakes == 6);
    CHECK_FALSE(notifier.has_waiters());
}

TEST_CASE("a wait that is given up leaves no trace") {
    asio::io_context io;
    Notifier notifier(io.get_executor());
    for (int i = 0; i < 10; ++i) {
        std::size_t winner = 9;
        test::run_for(io, wait_or_give_up(notifier, 0ms, winner));
        CHECK(winner == 1);
        CHECK_FALSE(notifier.has_waiters());
    }
    std::size_t winner = 9;
    test::start(io, wait_or_give_up(notifier, 1h, winner));
    test::settle(io);
    notifier.notify_one();
    test::run_until(io, [&] { return winner != 9; });
    CHECK(winner == 0);
}

TEST_CASE("one of several waits can be given up") {
    asio::io_context io;
    Notifier notifier(io.get_executor());
    int wakes = 0;
    std::size_t winner = 9;
    test::start(io, count_wakes(notifier, 1, wakes));
    test::start(io, wait_or_give_up(notifier, 1ms, winner));
    test::start(io, count_wakes(notifier, 1, wakes));
    test::run_until(io, [&] { return winner == 1; });
    notifier.notify_one();
    notifier.notify_one();
    test::run_until(io, [&] { return wakes == 2; });
}

TEST_CASE("waits with timeouts on a queue: every value comes exactly once, in order") {
    for (const auto timeout : {0ms, 1ms}) {
        CAPTURE(timeout.count());
        asio::io_context io;
        Queue queue(io.get_executor());
        std::vector<int> got;
        int given_up = 0;
        constexpr int count = 1000;
        test::start(io, test::when_positive(given_up, put_all(queue, count, 1ms)));
        test::run_for(io, get_all(queue, count, timeout, got, given_up));
        REQUIRE(got.size() == count);
        for (int i = 0; i < count; ++i) CHECK(got[static_cast<std::size_t>(i)] == i);
        CHECK(given_up > 0);
    }
}

TEST_CASE("a notifier may go while somebody waits") {
    asio::io_context io;
    auto notifier = std::make_unique<Notifier>(io.get_executor());
    int wakes = 0;
    test::start(io, count_wakes(*notifier, 1, wakes));
    test::settle(io);
    notifier.reset();
    test::settle(io);
    CHECK(wakes == 0);
}
