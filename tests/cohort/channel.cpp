// SPDX-License-Identifier: MIT
#include <cohort/channel.hpp>

#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/child.hpp>
#include <support/notes.hpp>

#include <csignal>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;
using cohort::Channel;
using cohort::Errc;
using cohort::Task;
using namespace test;

namespace {

struct Other {
    double value = 0;
    std::vector<int> values;
};
struct Deep {
    std::vector<Deep> inner;
};

} // namespace

static_assert(!std::is_copy_constructible_v<Channel<Numbered>>);
static_assert(std::is_same_v<Channel<Numbered>::Peer, Channel<Numbered>>);
static_assert(std::is_same_v<Channel<cohort::Duplex<Numbered, Other>>::Peer, Channel<cohort::Duplex<Other, Numbered>>>);
static_assert(std::is_same_v<Channel<cohort::Duplex<Numbered, Other>>::Out, Numbered>);
static_assert(std::is_same_v<Channel<cohort::Duplex<Numbered, Other>>::In, Other>);

TEST_CASE("messages arrive once each and in their order, in both directions at once") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    Inbox at_a;
    Inbox at_b;
    start(io, send_all(a, 5000));
    start(io, send_all(b, 3000));
    start(io, receive_into(a, at_a));
    run_for(io, receive_into(b, at_b));
    run_until(io, [&] { return at_a.ended; });
    CHECK(at_a.count == 3000);
    CHECK(at_b.count == 5000);
    CHECK(at_a.wrong + at_b.wrong == 0);
    CHECK(at_b.ended);
}

TEST_CASE("each direction can have a type of its own") {
    struct Run {
        static Task<> ask(Channel<cohort::Duplex<Numbered, Other>>& channel) {
            const Numbered note{7, "seven"};
            co_await channel.send(note);
            const auto answer = co_await channel.receive();
            REQUIRE(answer);
            CHECK(answer->values == std::vector{7, 5});
        }
        static Task<> answer(Channel<cohort::Duplex<Other, Numbered>>& channel) {
            const auto note = co_await channel.receive();
            REQUIRE(note);
            const Other other{1.5, {static_cast<int>(note->number), static_cast<int>(note->text.size())}};
            co_await channel.send(other);
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<cohort::Duplex<Numbered, Other>>::pair(io.get_executor());
    start(io, Run::answer(b));
    run_for(io, Run::ask(a));
}

TEST_CASE("a message that needs no name may be a temporary") {
    struct Run {
        static Task<> both(Channel<int>& a, Channel<int>& b) {
            co_await a.send(42);
            const auto value = co_await b.receive();
            CHECK(value == 42);
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<int>::pair(io.get_executor());
    run_for(io, Run::both(a, b));
}

TEST_CASE("what is here already can be had without waiting") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    CHECK_FALSE(b.has_message());
    CHECK_FALSE(b.try_receive());
    run_for(io, send_some(a, 0, 3));
    Inbox inbox;
    run_for(io, receive_into(b, inbox, 1));
    CHECK(b.has_message());
    CHECK(b.try_receive()->number == 1);
    CHECK(b.try_receive()->number == 2);
    CHECK_FALSE(b.has_message());
    CHECK_FALSE(b.try_receive());
}

TEST_CASE("a channel can be moved, also onto another, whose peer then sees the end") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    auto [c, d] = Channel<Numbered>::pair(io.get_executor());
    run_for(io, send_some(a, 0, 1));
    a = std::move(c);
    Inbox at_b;
    run_for(io, receive_into(b, at_b));
    CHECK(at_b.count == 1);
    CHECK(at_b.ended);
    Inbox at_d;
    run_for(io, send_some(a, 0, 2));
    run_for(io, receive_into(d, at_d, 2));
    CHECK(at_d.count == 2);
}

// The end of a channel

TEST_CASE("what was sent before close, or destruction, still arrives, then the end") {
    for (const bool destroy : {false, true}) {
        for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{20'000}}) {
            CAPTURE(destroy);
            CAPTURE(count);
            asio::io_context io;
            auto ends = Channel<Numbered>::pair(io.get_executor(), {.high_water = std::size_t{64} << 20});
            auto b = std::move(ends.second);
            {
                auto a = std::move(ends.first);
                run_for(io, send_some(a, 0, count, 100)); // more than a socket holds
                if (!destroy) a.close();
            }
            Inbox inbox;
            run_for(io, receive_into(b, inbox));
            CHECK(inbox.count == count);
            CHECK(inbox.wrong == 0);
            CHECK(inbox.ended);
        }
    }
}

TEST_CASE("an aborted channel drops what was queued") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.high_water = std::size_t{64} << 20});
    run_for(io, send_some(a, 0, 20'000, 100));
    cohort::detail::Access::stream(a).abort();
    CHECK_FALSE(a.is_open());
    Inbox inbox;
    run_for(io, receive_into(b, inbox));
    CHECK(inbox.wrong == 0);
    CHECK(inbox.count < 20'000);
    CHECK(inbox.ended);
}

TEST_CASE("after close sending is an error and receiving gives nothing, on both sides") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    a.close();
    CHECK_FALSE(a.is_open());
    CHECK(send_error(io, a) == Errc::closed);
    Inbox at_a;
    run_for(io, receive_into(a, at_a));
    CHECK(at_a.ended);

    Inbox at_b;
    run_for(io, receive_into(b, at_b));
    CHECK(at_b.ended);
    CHECK_FALSE(at_b.error);
    CHECK_FALSE(b.is_open());
    const auto error = send_error(io, b);
    CHECK((error == std::errc::broken_pipe || error == std::errc::connection_reset));
    CHECK(send_error(io, b)); // and stays one
    a.close();
    b.close();
}

TEST_CASE("a receive under way gives nothing when the channel is closed") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    Inbox inbox;
    start(io, receive_into(a, inbox));
    settle(io);
    CHECK_FALSE(inbox.ended);
    a.close();
    run_until(io, [&] { return inbox.ended; });
    CHECK_FALSE(inbox.error);
}

TEST_CASE("a send that waits for room fails when the other side goes") {
    asio::io_context io;
    auto ends = Channel<Numbered>::pair(io.get_executor());
    auto a = std::move(ends.first);
    bool failed = false;
    {
        auto b = std::move(ends.second);
        spawn(io, send_some(a, 0, 1000, 10'000), [&](std::exception_ptr error) { failed = error != nullptr; });
        settle(io);
        CHECK_FALSE(failed);
    }
    run_until(io, [&] { return failed; });
}

TEST_CASE("one direction can end before the other") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    run_for(io, send_all(a, 10));
    CHECK(send_error(io, a) == Errc::closed);
    Inbox at_b;
    run_for(io, receive_into(b, at_b));
    CHECK(at_b.count == 10);
    CHECK(at_b.ended);

    run_for(io, send_some(b, 0, 10));
    Inbox at_a;
    run_for(io, receive_into(a, at_a, 10));
    CHECK(at_a.count == 10);
}

TEST_CASE("messages sent just before a process ends are delivered") {
    for (const bool finish : {false, true}) {
        CAPTURE(finish);
        asio::io_context io;
        auto [mine, childs] = cohort::detail::make_socketpair(SOCK_STREAM);
        constexpr std::uint64_t count = 20'000;
        const pid_t child = fork_child([&] {
            mine.reset();
            asio::io_context loop;
            Channel<Numbered> channel(loop.get_executor(), std::move(childs), {.high_water = std::size_t{64} << 20});
            run_for(loop, send_some(channel, 0, count, 100));
            if (finish) channel.finish();
            cohort::detail::Access::stream(channel).flush_now(20s);
            return 0;
        });
        childs.reset();
        Channel<Numbered> channel(io.get_executor(), std::move(mine));
        Inbox inbox;
        run_for(io, receive_into(channel, inbox));
        CHECK(inbox.count == count);
        CHECK(inbox.wrong == 0);
        CHECK(inbox.ended);
        CHECK(wait_for(child) == 0);
    }
}

TEST_CASE("what a killed process had flushed is received, then the end") {
    asio::io_context io;
    auto [mine, childs] = cohort::detail::make_socketpair(SOCK_STREAM);
    const pid_t child = fork_child([&] {
        asio::io_context loop;
        Channel<Numbered> channel(loop.get_executor(), std::move(childs));
        run_for(loop, send_some(channel, 0, 100));
        run_for(loop, channel.flush());
        return ::raise(SIGKILL);
    });
    childs.reset();
    CHECK(wait_for(child) == -SIGKILL);
    Channel<Numbered> channel(io.get_executor(), std::move(mine));
    Inbox inbox;
    run_for(io, receive_into(channel, inbox));
    CHECK(inbox.count == 100);
    CHECK(inbox.ended);
}

TEST_CASE("an exception in the loop that receives costs no later message") {
    struct Run {
        static void handle(const Numbered&) { throw std::runtime_error("no"); }
        static Task<> all(Channel<Numbered>& channel, int& handled) {
            for (;;) {
                const auto note = co_await channel.receive();
                if (!note) break;
                try {
                    handle(*note);
                } catch (const std::runtime_error&) {
                    ++handled;
                }
            }
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    int handled = 0;
    start(io, send_all(a, 10));
    run_for(io, Run::all(b, handled));
    CHECK(handled == 10);
}

// Sizes and limits

TEST_CASE("large messages arrive whole and in order") {
    struct Row {
        std::uint64_t count;
        std::size_t size;
    };
    for (const auto& row : {Row{4, std::size_t{8} << 20}, Row{10, 65'521}, Row{3, 65'536}, Row{100, 0}}) {
        CAPTURE(row.size);
        asio::io_context io;
        auto [a, b] = Channel<Numbered>::pair(io.get_executor());
        Inbox inbox;
        start(io, send_all(a, row.count, row.size));
        run_for(io, receive_into(b, inbox));
        CHECK(inbox.count == row.count);
        CHECK(inbox.bytes == row.count * row.size);
        CHECK(inbox.wrong == 0);
    }
}

TEST_CASE("400 KB of text beyond ASCII arrive as they were") {
    struct Run {
        static Task<> receive(Channel<Numbered>& channel, std::string& text) {
            const auto note = co_await channel.receive();
            text = note.value().text;
        }
    };
    std::string text;
    while (text.size() < 400'000) text += "\u00df\u30b3\U0001F600";
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    const Numbered note{1, text};
    std::string copy;
    start(io, send_one(a, note));
    run_for(io, Run::receive(b, copy));
    CHECK(copy == text);
}

TEST_CASE("a message beyond the limit cannot be sent, and the channel is unharmed") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.max_length = 1000});
    run_for(io, send_some(a, 0, 1));
    CHECK(send_error(io, a, Numbered{1, std::string(1000, 'b')}) == Errc::message_too_large);
    run_for(io, send_some(a, 1, 1));
    a.finish();
    Inbox inbox;
    run_for(io, receive_into(b, inbox));
    CHECK(inbox.count == 2);
    CHECK(inbox.wrong == 0);
    CHECK(inbox.ended);
}

TEST_CASE("a limit above the usual one holds for encoding too") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor(), {.max_length = std::size_t{64} << 20});
    Inbox inbox;
    start(io, send_all(a, 1, std::size_t{20} << 20));
    run_for(io, receive_into(b, inbox));
    CHECK(inbox.bytes == std::size_t{20} << 20);
    CHECK(inbox.wrong == 0);
}

TEST_CASE("a limit so low that no type's name would fit still lets small messages through") {
    struct Run {
        static Task<> both(Channel<int>& a, Channel<int>& b) {
            co_await a.send(42);
            const auto value = co_await b.receive();
            CHECK(value == 42);
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<int>::pair(io.get_executor(), {.max_length = sizeof(int)});
    run_for(io, Run::both(a, b));
}

TEST_CASE("a message that is nested too deeply cannot be sent, and the channel is unharmed") {
    struct Run {
        static Task<> send(Channel<Deep>& channel, const Deep& deep) { co_await channel.send(deep); }
        static Task<> receive(Channel<Deep>& channel, std::optional<Deep>& deep) {
            auto received = co_await channel.receive();
            deep = std::move(received);
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<Deep>::pair(io.get_executor());
    Deep deep;
    for (int i = 0; i < 100; ++i) {
        Deep outer;
        outer.inner.push_back(std::move(deep));
        deep = std::move(outer);
    }
    CHECK(error_of([&] { run_for(io, Run::send(a, deep)); }) == Errc::nested_too_deep);
    const Deep shallow{{Deep{}, Deep{}}};
    run_for(io, Run::send(a, shallow));
    std::optional<Deep> received;
    run_for(io, Run::receive(b, received));
    REQUIRE(received);
    CHECK(received->inner.size() == 2);
}

TEST_CASE("a channel that nobody waits on does not keep the event loop, and so an idle process, alive") {
    asio::io_context io;
    auto [a, b] = Channel<Numbered>::pair(io.get_executor());
    const auto begin = std::chrono::steady_clock::now();
    io.run_for(test::patience);
    CHECK(std::chrono::steady_clock::now() - begin < test::patience);
    run_for(io, send_some(a, 0, 3));
    io.restart();
    io.run_for(test::patience);
    CHECK(std::chrono::steady_clock::now() - begin < test::patience);
    Inbox inbox;
    run_for(io, receive_into(b, inbox, 3));
    CHECK(inbox.count == 3);
}

TEST_CASE("a channel may be on any descriptor, also on standard input and output") {
    for (const int number : {0, 1}) {
        CAPTURE(number);
        auto [mine, others] = cohort::detail::make_socketpair(SOCK_STREAM);
        const pid_t child = fork_child([&] {
            ::dup2(others.get(), number);
            asio::io_context io;
            Channel<Numbered> channel(io.get_executor(), cohort::detail::UniqueFd(number));
            Inbox inbox;
            run_for(io, receive_into(channel, inbox, 5));
            run_for(io, send_all(channel, 7));
            run_for(io, channel.flush());
            return inbox.count == 5 && inbox.wrong == 0 ? 0 : 1;
        });
        others.reset();
        asio::io_context io;
        Channel<Numbered> channel(io.get_executor(), std::move(mine));
        run_for(io, send_some(channel, 0, 5));
        Inbox inbox;
        run_for(io, receive_into(channel, inbox));
        CHECK(inbox.count == 7);
        CHECK(wait_for(child) == 0);
    }
}
