// SPDX-License-Identifier: MIT
#include <cohort/transport.hpp>

#include <doctest/doctest.h>

#include <cohort/detail/channel/shared_memory_transport.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/memfd.hpp>
#include <cohort/handle.hpp>

#include <asio/io_context.hpp>

#include <support/child.hpp>
#include <support/faulty_system.hpp>
#include <support/notes.hpp>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include <sys/mman.h>

using namespace std::chrono_literals;
using cohort::Channel;
using cohort::ChannelLimits;
using cohort::Errc;
using cohort::Handle;
using cohort::SharedMemory;
using cohort::Task;
using cohort::UnixStream;
using namespace cohort::detail;
using test::Inbox;
using test::Numbered;

namespace transports {

struct Loaded {
    std::uint64_t number = 0;
    Handle handle;
};

} // namespace transports

using transports::Loaded;

namespace {

using Shared = Channel<Numbered, SharedMemory>;

/// Both ends in one process.
template <class Via>
struct Ends {
    explicit Ends(ChannelLimits limits = {}) : both(Channel<Numbered, Via>::pair(io.get_executor(), limits)) {}
    ~Ends() {
        both.first.close();
        both.second.close();
        test::settle(io);
    }

    asio::io_context io;
    std::pair<Channel<Numbered, Via>, Channel<Numbered, Via>> both;
    Channel<Numbered, Via>& a = both.first;
    Channel<Numbered, Via>& b = both.second;
};

Task<Numbered> echo_numbered(const Numbered& note) { co_return note; }

template <class C>
Task<> call_some(C& channel, std::uint64_t count, std::uint64_t& right) {
    for (std::uint64_t i = 0; i < count; ++i) {
        const Numbered note{i, std::string(i % 100, 'c')};
        const auto reply = co_await channel.call(note, test::patience);
        right += reply.number == i && reply.text == note.text;
    }
}

#if defined(COHORT_SANITIZED) // many times slower
constexpr int calls_of_each = 2;
#else
constexpr int calls_of_each = 10;
#endif

} // namespace

TEST_CASE_TEMPLATE("messages of all sizes arrive whole and in order, both ways at once", Via, UnixStream,
                   SharedMemory) {
    Ends<Via> ends({.high_water = 1000, .ring_size = 4096});
    Inbox at_a;
    Inbox at_b;
    test::start(ends.io, test::send_all(ends.a, 3000, 700));
    test::start(ends.io, test::send_all(ends.b, 30, 100'000)); // larger than the ring
    test::start(ends.io, test::receive_into(ends.a, at_a));
    test::start(ends.io, test::receive_into(ends.b, at_b));
    test::run_until(ends.io, [&] { return at_a.ended && at_b.ended; });
    CHECK(at_b.count == 3000);
    CHECK(at_a.count == 30);
    CHECK(at_a.wrong + at_b.wrong == 0);
}

TEST_CASE_TEMPLATE("calls are answered in both directions", Via, UnixStream, SharedMemory) {
    Ends<Via> ends({.ring_size = 4096});
    std::uint64_t right = 0;
    test::start(ends.io, ends.a.serve(&echo_numbered));
    test::start(ends.io, ends.b.serve(&echo_numbered));
    test::start(ends.io, call_some(ends.a, 300, right));
    test::start(ends.io, call_some(ends.b, 300, right));
    test::run_until(ends.io, [&] { return right == 600; });
}

TEST_CASE_TEMPLATE("a call that is given up makes room for the next one, one at a time", Via, UnixStream,
                   SharedMemory) {
    struct Run {
        static Task<Numbered> answer(const Numbered& question) {
            if (question.number % 2 == 1) co_await test::never();
            const Numbered reply = question;
            co_return reply;
        }
        static Task<> ask(Channel<Numbered, Via>& channel, int& answered) {
            for (std::uint64_t i = 0; i != 20; ++i) {
                const Numbered question{i, "?"};
                const bool is_for_ever = i % 2 == 1;
                try {
                    const auto reply = co_await channel.call(question, is_for_ever ? 10ms : test::patience);
                    answered += reply.number == i && !is_for_ever;
                } catch (const std::system_error& error) {
                    CHECK(error.code() == std::errc::timed_out);
                }
            }
        }
    };
    Ends<Via> ends({.ring_size = 4096});
    int answered = 0;
    test::start(ends.io, ends.b.serve(&Run::answer, 1));
    test::run_for(ends.io, Run::ask(ends.a, answered));
    CHECK(answered == 10);
}

TEST_CASE_TEMPLATE("two processes: long calls in both directions all get their replies", Via, UnixStream,
                   SharedMemory) {
    struct Run {
        static Task<> call(Channel<Numbered, Via>& channel, std::uint64_t& answered) {
            const Numbered note{1, std::string(200'000, 'n')};
            for (int i = 0; i != calls_of_each; ++i) {
                const auto reply = co_await channel.call(note, test::patience);
                answered += reply.text.size() == note.text.size();
            }
        }
        static bool call_all(UniqueFd socket, bool is_maker) {
            asio::io_context io;
            auto channel = is_maker ? Channel<Numbered, Via>(io.get_executor(), std::move(socket))
                                    : Channel<Numbered, Via>::accepted(io.get_executor(), std::move(socket));
            std::uint64_t answered = 0;
            bool served = false;
            test::start(io, [](Channel<Numbered, Via>& it, bool& ended) -> Task<> {
                co_await it.serve(&echo_numbered);
                ended = true;
            }(channel, served));
            constexpr int callers = 32;
            constexpr std::uint64_t all = callers * calls_of_each;
            for (int i = 0; i != callers; ++i) test::start(io, call(channel, answered));
            test::run_until(io, [&] { return answered == all; });
            channel.finish(); // the other side ends when it has its last reply
            test::run_until(io, [&] { return served; });
            return answered == all;
        }
    };
    for (int i = 0; i != 3; ++i) {
        auto [own, others] = make_socketpair(SOCK_STREAM);
        const pid_t child = test::fork_child([&] {
            own.reset();
            return Run::call_all(std::move(others), false) ? 0 : 1;
        });
        others.reset();
        CHECK(Run::call_all(std::move(own), true));
        CHECK(test::wait_for(child) == 0);
    }
}

TEST_CASE_TEMPLATE("a sender that is not read waits, and goes on", Via, UnixStream, SharedMemory) {
    Ends<Via> ends({.high_water = 10'000, .ring_size = 16'384});
    test::start(ends.io, test::send_all(ends.a, 2000, 1000));
    test::settle(ends.io);
    CHECK_FALSE(cohort::detail::Access::stream(ends.a).has_room());
    Inbox inbox;
    test::run_for(ends.io, test::receive_into(ends.b, inbox));
    CHECK(inbox.count == 2000);
    CHECK(inbox.wrong == 0);
}

TEST_CASE_TEMPLATE("two processes: everything sent before an end or a crash is received, then the end", Via, UnixStream,
                   SharedMemory) {
    for (const bool crash : {false, true}) {
        CAPTURE(crash);
        asio::io_context io;
        auto both = Channel<Numbered, Via>::pair(io.get_executor());
        const pid_t child = test::fork_child([&] {
            // The parent's loop is not this process's: the ends are used by hand here, never through it.
            auto& stream = cohort::detail::Access::stream(both.second);
            for (std::uint64_t i = 0; i < 100; ++i)
                stream.push(FrameKind::message, 0, [&](Buffer& out, std::vector<int>&) {
                    const Numbered note{i, std::string(20, static_cast<char>('a' + i % 26))};
                    cohort::encode(note, out);
                });
            stream.flush_now(10s);
            if (crash) ::kill(::getpid(), SIGKILL);
            return 0;
        });
        cohort::detail::Access::stream(both.second).abort(); // this process's copy
        Inbox inbox;
        test::run_for(io, test::receive_into(both.first, inbox));
        CHECK(inbox.count == 100);
        CHECK(inbox.wrong == 0);
        CHECK(inbox.ended);
        CHECK(test::wait_for(child) == (crash ? -SIGKILL : 0));
    }
}

TEST_CASE("over shared memory a burst costs hardly a system call, and a socket made anew brings the memory") {
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    const pid_t child = test::fork_child([&] {
        mine.reset();
        asio::io_context io;
        Shared channel = Shared::accepted(io.get_executor(), std::move(others));
        test::run_for(io, test::send_all(channel, 20'000));
        test::run_for(io, channel.flush());
        channel.close();
        test::settle(io);
        return 0;
    });
    others.reset();
    test::FaultySystem system;
    asio::io_context io;
    Shared channel(io.get_executor(), std::move(mine));
    Inbox inbox;
    test::run_for(io, test::receive_into(channel, inbox));
    CHECK(inbox.count == 20'000);
    CHECK(inbox.wrong == 0);
    CHECK(system.sends < 2000);
    CHECK(test::wait_for(child) == 0);
}

TEST_CASE("spinning receivers are told of messages without any system call") {
    constexpr std::uint64_t count = 100;
    struct Run {
        static Task<> echo_numbered(Shared& channel) {
            while (const auto note = co_await channel.receive()) co_await channel.send(*note);
        }
        static Task<> round_trips(Shared& channel, std::uint64_t trips, std::uint64_t& right) {
            for (std::uint64_t i = 0; i < trips; ++i) {
                const Numbered note{i, "x"};
                co_await channel.send(note);
                const auto received = co_await channel.receive();
                right += received->number == i;
            }
        }
    };
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    const pid_t child = test::fork_child([&] {
        mine.reset();
        asio::io_context io;
        Shared channel = Shared::accepted(io.get_executor(), std::move(others), {.spin = 10s});
        test::run_for(io, Run::echo_numbered(channel));
        return 0;
    });
    others.reset();
    asio::io_context io;
    Shared channel(io.get_executor(), std::move(mine), {.spin = 10s});
    std::uint64_t right = 0;
    test::run_for(io, Run::round_trips(channel, 1, right));
    test::FaultySystem system;
    test::run_for(io, Run::round_trips(channel, count, right));
    CHECK(right == 1 + count);
    CHECK(system.sends == 0);
    channel.close();
    ::kill(child, SIGTERM); // it does not look at the socket while it spins
    CHECK(test::wait_for(child) == -SIGTERM);
}

TEST_CASE("two processes that flood each other through tiny rings lose no wake-up, whoever begins") {
    for (int round = 0; round < 30; ++round) {
        CAPTURE(round);
        const ChannelLimits limits{.high_water = 100, .ring_size = 128};
        auto [mine, others] = make_socketpair(SOCK_STREAM);
        const auto flood = [](asio::io_context& io, Shared& channel) {
            Inbox inbox;
            test::start(io, test::receive_into(channel, inbox));
            test::run_for(io, test::send_all(channel, 300, 30));
            test::run_for(io, channel.flush());
            test::run_until(io, [&] { return inbox.ended || inbox.error; });
            return inbox.count == 300 && inbox.wrong == 0 && inbox.ended ? 0 : 1;
        };
        const pid_t child = test::fork_child([&] {
            mine.reset();
            asio::io_context io;
            Shared channel = Shared::accepted(io.get_executor(), std::move(others), limits);
            return flood(io, channel);
        });
        others.reset();
        asio::io_context io;
        Shared channel(io.get_executor(), std::move(mine), limits);
        CHECK(flood(io, channel) == 0);
        REQUIRE(test::wait_for(child) == 0);
    }
}

TEST_CASE("descriptors pass beside the rings and stay with their messages") {
    struct Run {
        static Task<> send(Channel<Loaded, SharedMemory>& channel, std::uint64_t count) {
            for (std::uint64_t i = 0; i < count; ++i) {
                Loaded loaded{i, Handle()};
                if (i % 3 != 0) {
                    loaded.handle = Handle(::memfd_create("loaded", MFD_CLOEXEC));
                    CHECK(::pwrite(loaded.handle.get(), &i, sizeof i, 0) == sizeof i);
                }
                co_await channel.send(loaded);
            }
            channel.finish();
        }
        static Task<> receive(Channel<Loaded, SharedMemory>& channel, std::uint64_t& right) {
            for (std::uint64_t i = 0;; ++i) {
                const auto loaded = co_await channel.receive();
                if (!loaded) break;
                std::uint64_t inside = i;
                if (loaded->handle) CHECK(::pread(loaded->handle.get(), &inside, sizeof inside, 0) == sizeof inside);
                right += loaded->number == i && inside == i && static_cast<bool>(loaded->handle) == (i % 3 != 0);
            }
        }
    };
    asio::io_context io;
    auto [a, b] = Channel<Loaded, SharedMemory>::pair(io.get_executor(), {.high_water = 500, .ring_size = 256});
    std::uint64_t right = 0;
    test::start(io, Run::send(a, 300));
    test::run_for(io, Run::receive(b, right));
    CHECK(right == 300);
}

TEST_CASE("whatever a peer writes into the shared memory, it is an error or nonsense of its own") {
    for (const bool index : {true, false}) {
        CAPTURE(index);
        auto [mine, others] = make_socketpair(SOCK_STREAM);
        const UniqueFd memory = make_ring_memory(4096);
        const int number = memory.get();
        constexpr std::byte bell{1};
        REQUIRE(send_datagram(others.get(), std::span(&bell, 1), std::span(&number, 1)));
        const auto mapping = Mapping::map(number, size_of(number), true);
        auto& rings = *reinterpret_cast<RingPair*>(mapping.bytes().data());
        std::memset(mapping.bytes().data() + sizeof(RingPair), 0xee, 8192);
        rings.from_maker.written = index ? 4097 : 4096;
        asio::io_context io;
        Shared channel = Shared::accepted(io.get_executor(), std::move(mine));
        Inbox inbox;
        test::run_for(io, test::receive_into(channel, inbox));
        CHECK(inbox.error == Errc::bad_frame);
    }
}

TEST_CASE("memory that its sender could shorten, or of a strange size, is refused") {
    struct Row {
        const char* name;
        std::size_t size;
        int seals;
    };
    const Row rows[] = {
        {"not sealed", sizeof(RingPair) + 8192, 0},
        {"no power of two", sizeof(RingPair) + 8194, F_SEAL_SHRINK},
        {"too small", 100, F_SEAL_SHRINK},
        {"empty", 0, F_SEAL_SHRINK},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        auto [mine, others] = make_socketpair(SOCK_STREAM);
        const UniqueFd memory = make_memfd("rings", row.size);
        seal(memory.get(), row.seals);
        const int number = memory.get();
        constexpr std::byte bell{1};
        REQUIRE(send_datagram(others.get(), std::span(&bell, 1), std::span(&number, 1)));
        asio::io_context io;
        Inbox inbox;
        CHECK(test::error_of([&] {
                  Shared channel = Shared::accepted(io.get_executor(), std::move(mine));
                  test::run_for(io, test::receive_into(channel, inbox));
                  if (inbox.error) throw std::system_error(inbox.error);
              }) == Errc::bad_frame);
    }
}

TEST_CASE("different message types are told apart over shared memory, too") {
    asio::io_context io;
    auto [one, other] = make_socketpair(SOCK_STREAM);
    Shared notes(io.get_executor(), std::move(one));
    auto loads = Channel<Loaded, SharedMemory>::accepted(io.get_executor(), std::move(other));
    struct Run {
        static Task<> receive(Channel<Loaded, SharedMemory>& channel) { static_cast<void>(co_await channel.receive()); }
    };
    CHECK(test::error_of([&] { test::run_for(io, Run::receive(loads)); }) == Errc::schema_mismatch);
    Inbox inbox;
    test::run_for(io, test::receive_into(notes, inbox));
    CHECK(inbox.error == Errc::schema_mismatch);
}

TEST_CASE("rings that are much larger than one's own are refused: nobody has the other side buffer without an end") {
    for (const std::size_t times : {1U, 4U, 8U, 64U}) {
        CAPTURE(times);
        constexpr std::size_t own = 4'096;
        auto [mine, others] = make_socketpair(SOCK_STREAM);
        const UniqueFd memory = make_ring_memory(own * times);
        const int number = memory.get();
        constexpr std::byte bell{1};
        REQUIRE(send_datagram(others.get(), std::span(&bell, 1), std::span(&number, 1)));
        others.reset();
        asio::io_context io;
        Inbox inbox;
        const auto error = test::error_of([&] {
            Shared channel = Shared::accepted(io.get_executor(), std::move(mine), {.ring_size = own});
            test::run_for(io, test::receive_into(channel, inbox));
        });
        CHECK((error == Errc::bad_frame || inbox.error == Errc::bad_frame) == (times > 4));
    }
}
