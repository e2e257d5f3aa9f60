// SPDX-License-Identifier: MIT
#include <cohort/channel.hpp>

#include <doctest/doctest.h>

#include <support/notes.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <random>

using namespace std::chrono_literals;
using asio::experimental::awaitable_operators::operator||;
using cohort::Channel;
using cohort::Task;
using namespace test;

namespace {

struct Race {
    Inbox inbox;
    std::uint64_t given_up = 0;
};

/// Gives up after `timeout`, again and again, until everything has come.
Task<> receive_with_timeouts(Channel<Numbered>& channel, std::chrono::microseconds timeout, std::uint64_t count,
                             Race& race) {
    while (race.inbox.count < count) {
        const auto result = co_await (channel.receive() || sleep_for(timeout));
        if (result.index() == 1) {
            ++race.given_up;
        } else {
            const auto& note = std::get<0>(result);
            REQUIRE(note);
            race.inbox.take(*note);
        }
    }
}

Task<> receive_with_timeouts_first(Channel<Numbered>& channel, std::chrono::microseconds timeout, std::uint64_t count,
                                   Race& race) {
    while (race.inbox.count < count) {
        const auto result = co_await (sleep_for(timeout) || channel.receive());
        if (result.index() == 0) {
            ++race.given_up;
        } else {
            const auto& note = std::get<1>(result);
            REQUIRE(note);
            race.inbox.take(*note);
        }
    }
}

/// Now one message, now several, at moments that fall before, at and after the receiver's timeouts.
Task<> send_irregularly(Channel<Numbered>& channel, std::uint64_t count, std::chrono::microseconds around,
                        unsigned seed) {
    std::mt19937 random(seed);
    for (std::uint64_t sent = 0; sent < count;) {
        const auto burst = std::min<std::uint64_t>(count - sent, random() % 4);
        co_await send_some(channel, sent, burst);
        sent += burst;
        if (random() % 2 == 0)
            co_await asio::post(asio::use_awaitable);
        else
            co_await sleep_for(around * static_cast<int>(random() % 21) / 10);
    }
}

} // namespace

TEST_CASE("a receive that loses its race against a timer loses no message") {
    for (const bool timer_first : {false, true}) {
        for (const std::chrono::microseconds timeout : {0us, 50us, 1000us}) {
            CAPTURE(timer_first);
            CAPTURE(timeout.count());
            asio::io_context io;
            auto [a, b] = Channel<Numbered>::pair(io.get_executor());
            Race race;
            const std::uint64_t count = timeout < 1ms ? 5000 : 500;
            start(io, when_positive(race.given_up, send_irregularly(a, count, timeout, 1)));
            run_for(io, timer_first ? receive_with_timeouts_first(b, timeout, count, race)
                                    : receive_with_timeouts(b, timeout, count, race));
            CHECK(race.inbox.count == count);
            CHECK(race.inbox.wrong == 0);
            CHECK(race.given_up > 0);
        }
    }
}

TEST_CASE("a race that both sides win in the same turn loses no message") {
    // The message is in the buffer already, or arrives in the turn in which the timer fires.
    struct Run {
        static Task<> exchange(Channel<Numbered>& a, Channel<Numbered>& b, std::uint64_t rounds, Race& race) {
            for (std::uint64_t sent = 0; sent < rounds; ++sent) {
                co_await send_some(a, sent, 1);
                const auto result = co_await (sleep_for(0ms) || b.receive());
                if (result.index() == 0)
                    ++race.given_up;
                else
                    race.inbox.take(std::get<1>(result).value());
            }
            while (race.inbox.count < rounds) {
                const auto note = co_await b.receive();
                race.inbox.take(note.value());
            }
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    Race race;
    run_for(io, Run::exchange(a, b, 5000, race));
    CHECK(race.inbox.count == 5000);
    CHECK(race.inbox.wrong == 0);
}

TEST_CASE("a race against something that is ready at once loses no message") {
    struct Run {
        static Task<> nothing() { co_return; }
        static Task<> race_all(Channel<Numbered>& a, Channel<Numbered>& b, std::uint64_t rounds, Race& race) {
            for (std::uint64_t sent = 0; sent < rounds; ++sent) {
                co_await send_some(a, sent, 1);
                const auto first = co_await (nothing() || b.receive());
                if (first.index() == 1) race.inbox.take(std::get<1>(first).value());
                const auto second = co_await (b.receive() || nothing());
                if (second.index() == 0) race.inbox.take(std::get<0>(second).value());
                if (first.index() == 0) ++race.given_up;
            }
            while (race.inbox.count < rounds) {
                const auto note = co_await b.receive();
                race.inbox.take(note.value());
            }
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    Race race;
    run_for(io, Run::race_all(a, b, 2000, race));
    CHECK(race.inbox.count == 2000);
    CHECK(race.inbox.wrong == 0);
}

TEST_CASE("of two channels that are waited for at once, neither loses a message") {
    struct Run {
        static Task<> either(Channel<Numbered>& a, Channel<Numbered>& b, std::uint64_t count, Inbox& from_a,
                             Inbox& from_b) {
            while (from_a.count < count || from_b.count < count) {
                const auto result = co_await (a.receive() || b.receive());
                if (result.index() == 0)
                    from_a.take(std::get<0>(result).value());
                else
                    from_b.take(std::get<1>(result).value());
            }
        }
    };
    asio::io_context io;
    auto [a, to_a] = Channel<Numbered>::pair(io.get_executor());
    auto [b, to_b] = Channel<Numbered>::pair(io.get_executor());
    Inbox from_a;
    Inbox from_b;
    start(io, send_irregularly(to_a, 3000, 0us, 2));
    start(io, send_irregularly(to_b, 3000, 0us, 3));
    run_for(io, Run::either(a, b, 3000, from_a, from_b));
    CHECK(from_a.count == 3000);
    CHECK(from_b.count == 3000);
    CHECK(from_a.wrong + from_b.wrong == 0);
}
