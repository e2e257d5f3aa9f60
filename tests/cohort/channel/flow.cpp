// SPDX-License-Identifier: MIT
#include <cohort/channel.hpp>

#include <doctest/doctest.h>

#include <support/faulty_system.hpp>
#include <support/notes.hpp>

#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <string>

#include <sys/socket.h>

using namespace std::chrono_literals;
using cohort::Channel;
using cohort::Errc;
using cohort::Task;
using namespace test;

// System calls

TEST_CASE("many messages become few system calls, in both directions") {
    FaultySystem system;
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    Inbox at_a;
    Inbox at_b;
    constexpr std::uint64_t count = 10'000;
    start(io, send_all(a, count));
    start(io, send_all(b, count));
    start(io, receive_into(a, at_a));
    run_for(io, receive_into(b, at_b));
    run_until(io, [&] { return at_a.ended; });
    CHECK(at_a.count == count);
    CHECK(at_b.count == count);
    CHECK(system.sends < static_cast<int>(count / 20));
    CHECK(system.receives < static_cast<int>(count / 20));
}

TEST_CASE("a single message goes out at once") {
    FaultySystem system;
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    Inbox inbox;
    run_for(io, receive_into(b, inbox, 0));
    settle(io);
    system.sends = 0;
    const Numbered note{0, "a"};
    const auto sent = a.send(note); // not even awaited
    run_for(io, receive_into(b, inbox, 1));
    CHECK(inbox.count == 1);
    CHECK(system.sends == 1);
}

TEST_CASE("no short write, short read or refusal harms a message") {
    struct Row {
        std::size_t most_sent;
        std::size_t most_received;
        int fail_every;
        int failure;
    };
    constexpr auto any = FaultySystem::any;
    const Row rows[] = {
        {1, any, 0, 0},        {any, 1, 0, 0},       {1, 1, 0, 0},         {7, 11, 0, 0},
        {any, any, 2, EAGAIN}, {any, any, 3, EINTR}, {1, 1, 2, EAGAIN},    {3, 5, 3, EAGAIN},
        {1, 1, 5, EINTR},      {17, 1, 2, EINTR},    {any, 16, 2, EAGAIN}, {16, any, 2, EAGAIN},
    };
    for (const auto& row : rows) {
        CAPTURE(row.most_sent);
        CAPTURE(row.most_received);
        CAPTURE(row.fail_every);
        CAPTURE(row.failure);
        FaultySystem system;
        system.most_sent = row.most_sent;
        system.most_received = row.most_received;
        system.fail_every = row.fail_every;
        system.failure = row.failure;
        asio::io_context io;
        auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.high_water = 200});
        Inbox inbox;
        start(io, send_all(a, 50));
        run_for(io, receive_into(b, inbox));
        CHECK(inbox.count == 50);
        CHECK(inbox.wrong == 0);
        CHECK(inbox.ended);
    }
}

TEST_CASE("a refusal at any step of a conversation changes nothing") {
    for (int step = 0; step < 30; ++step) {
        CAPTURE(step);
        FaultySystem system;
        asio::io_context io;
        auto [a, b] = Channel<Numbered>::pair(io.get_executor());
        Inbox inbox;
        for (int i = 0; i < 10; ++i) {
            if (step / 3 == i) system.fail_next = step % 3 + 1;
            run_for(io, send_some(a, static_cast<std::uint64_t>(i), 1));
            run_for(io, receive_into(b, inbox, inbox.count + 1));
        }
        CHECK(inbox.count == 10);
        CHECK(inbox.wrong == 0);
    }
}

TEST_CASE("an error of the kernel ends sending with that error") {
    FaultySystem system;
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    settle(io);
    system.failure = EPIPE;
    system.fail_next = 1;
    const bool first = send_error(io, a) == std::errc::broken_pipe;
    CHECK((first || send_error(io, a) == std::errc::broken_pipe));
    CHECK(send_error(io, a) == std::errc::broken_pipe);
}

// Backpressure

TEST_CASE("a sender that is not read waits, memory stays bounded, and then everything arrives") {
    asio::io_context io;
    constexpr std::size_t high_water = 64 << 10;
    constexpr std::size_t size = 1000;
    constexpr std::uint64_t count = 20'000;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.high_water = high_water});
    int in_kernel = 0;
    socklen_t length = sizeof in_kernel;
    REQUIRE(::getsockopt(a.native_handle(), SOL_SOCKET, SO_SNDBUF, &in_kernel, &length) == 0);

    struct Run {
        static Task<> send(Channel<Numbered>& channel, std::uint64_t& sent) {
            for (; sent < count; ++sent) {
                const Numbered note{sent, std::string(size, static_cast<char>('a' + sent % 26))};
                co_await channel.send(note);
            }
            channel.finish();
        }
    };
    std::uint64_t sent = 0;
    start(io, Run::send(a, sent));
    settle(io);
    CHECK(sent > 0);
    CHECK(sent * size < 2 * (high_water + static_cast<std::size_t>(in_kernel)));
    const auto at_first = sent;
    settle(io);
    CHECK(sent == at_first);
    CHECK_FALSE(cohort::detail::Access::stream(a).has_room());

    Inbox inbox;
    run_for(io, receive_into(b, inbox));
    CHECK(inbox.count == count);
    CHECK(inbox.wrong == 0);
    CHECK(inbox.ended);
}

TEST_CASE("two sides that flood each other and read at the same time do not stop each other") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.high_water = 1000});
    Inbox at_a;
    Inbox at_b;
    start(io, send_all(a, 2000, 3000));
    start(io, send_all(b, 2000, 3000));
    start(io, receive_into(a, at_a));
    start(io, receive_into(b, at_b));
    run_until(io, [&] { return at_a.ended && at_b.ended; });
    CHECK(at_a.count == 2000);
    CHECK(at_b.count == 2000);
}

TEST_CASE("a send that is cancelled while it waits for room is sent nevertheless, once") {
    struct Run {
        static Task<> send(Channel<Numbered>& channel, std::uint64_t& given_up) {
            for (std::uint64_t i = 0; i < 500; ++i) {
                const Numbered note{i, std::string(1000, static_cast<char>('a' + i % 26))};
                const auto ended = co_await either(channel.send(note), sleep_for(0ms));
                if (ended == 1) ++given_up;
            }
            channel.finish();
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.high_water = 1000});
    std::uint64_t given_up = 0;
    run_for(io, Run::send(a, given_up));
    CHECK(given_up > 0);
    Inbox inbox;
    run_for(io, receive_into(b, inbox));
    CHECK(inbox.count == 500);
    CHECK(inbox.wrong == 0);
}

TEST_CASE("flush waits until the kernel has everything") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.high_water = std::size_t{64} << 20});
    run_for(io, send_some(a, 0, 5000, 1000));
    bool flushed = false;
    struct Run {
        static Task<> flush(Channel<Numbered>& channel, bool& done) {
            co_await channel.flush();
            done = true;
        }
    };
    start(io, Run::flush(a, flushed));
    settle(io);
    CHECK_FALSE(flushed);
    Inbox inbox;
    run_for(io, receive_into(b, inbox, 5000));
    run_until(io, [&] { return flushed; });
    CHECK(inbox.wrong == 0);
}

TEST_CASE("flush again and again, with nothing to write, holds up nothing else") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    bool told = false;
    struct Run {
        static Task<> flush_until(Channel<Numbered>& channel, const bool& end) {
            while (!end) co_await channel.flush();
        }
    };
    start(io, Run::flush_until(a, told));
    asio::post(io, [&told] { told = true; });
    run_until(io, [&told] { return told; });
}

TEST_CASE("try_send says no when send would wait, loses nothing, and says yes when there is room again") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.high_water = 10'000});
    std::uint64_t sent = 0;
    for (;;) {
        const Numbered note{sent, std::string(1000, static_cast<char>('a' + sent % 26))};
        if (!a.try_send(note)) break;
        ++sent;
        REQUIRE(sent < 100'000);
    }
    CHECK(sent >= 10);
    const auto refused = sent;
    Inbox inbox;
    run_for(io, receive_into(b, inbox, refused));
    const Numbered next{refused, std::string(10, static_cast<char>('a' + refused % 26))};
    CHECK(a.try_send(next));
    run_for(io, receive_into(b, inbox, refused + 1));
    CHECK(inbox.wrong == 0);
    a.finish();
    CHECK(error_of([&] { a.try_send(next); }) == Errc::closed);
}
