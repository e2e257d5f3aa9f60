// SPDX-License-Identifier: MIT
#include <cohort/channel.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/notes.hpp>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

using cohort::Channel;
using cohort::ChannelLimits;
using cohort::Errc;
using cohort::Task;
using namespace test;

namespace shapes {

struct Other {
    double value = 0;
    std::vector<int> values;
};

} // namespace shapes

using shapes::Other;

namespace {

/// Bytes as they travel.
struct Wire {
    cohort::detail::Buffer bytes;

    Wire& hello() {
        cohort::detail::FrameHeader header{.kind = cohort::detail::FrameKind::hello};
        cohort::detail::append_frame(bytes, header, 1000, [](cohort::detail::Buffer& out) {
            cohort::encode(cohort::detail::Greeting{cohort::schema_hash<Numbered>(), "Numbered"}, out);
        });
        return *this;
    }
    Wire& message(std::uint64_t number, std::size_t size = 20) {
        const Numbered note{number, std::string(size, static_cast<char>('a' + number % 26))};
        cohort::detail::FrameHeader header;
        cohort::detail::append_frame(bytes, header, 1 << 20,
                                     [&](cohort::detail::Buffer& out) { cohort::encode(note, out); });
        return *this;
    }
    Wire& call(std::uint64_t correlation) {
        cohort::detail::FrameHeader header{.kind = cohort::detail::FrameKind::call, .correlation = correlation};
        cohort::detail::append_frame(bytes, header, 1 << 20,
                                     [](cohort::detail::Buffer& out) { cohort::encode(Numbered{}, out); });
        return *this;
    }
    Wire& header(cohort::detail::FrameHeader header) {
        bytes.append(&header, sizeof header);
        return *this;
    }
    Wire& raw(std::string_view text) {
        bytes.append(text.data(), text.size());
        return *this;
    }
};

/// A channel whose other side is whatever a test writes there.
struct Victim {
    explicit Victim(ChannelLimits limits = {}) : Victim(cohort::detail::make_socketpair(SOCK_STREAM), limits) {}

    void write(const Wire& wire) {
        REQUIRE(::send(peer.get(), wire.bytes.data(), wire.bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(wire.bytes.size()));
    }
    Inbox read_to_the_end() {
        peer.reset();
        Inbox inbox;
        run_for(io, receive_into(channel, inbox));
        return inbox;
    }

    asio::io_context io;
    cohort::detail::UniqueFd peer;
    Channel<Numbered> channel;

private:
    Victim(std::pair<cohort::detail::UniqueFd, cohort::detail::UniqueFd> ends, ChannelLimits limits)
        : peer(std::move(ends.first)), channel(io.get_executor(), std::move(ends.second), limits) {}
};

struct BadFrame {
    const char* name;
    cohort::detail::FrameHeader header;
    Errc error;
};

constexpr cohort::detail::FrameKind kind(unsigned number) { return static_cast<cohort::detail::FrameKind>(number); }

const BadFrame bad_frames[] = {
    {"length 0x7fffffff", {.length = 0x7fffffff}, Errc::message_too_large},
    {"length 0x80000000", {.length = 0x80000000}, Errc::message_too_large},
    {"length 0xffffffff", {.length = 0xffffffff}, Errc::message_too_large},
    {"one more than allowed", {.length = (16U << 20) + 1}, Errc::message_too_large},
    {"kind 0", {.length = 0, .kind = kind(0)}, Errc::bad_frame},
    {"a reserved kind", {.length = 0, .kind = kind(10)}, Errc::bad_frame},
    {"kind 0xffff", {.length = 8, .kind = kind(0xffff)}, Errc::bad_frame},
    {"descriptors", {.length = 0, .descriptors = 1}, Errc::bad_frame},
    {"a long hello",
     {.length = cohort::detail::max_hello + 1, .kind = cohort::detail::FrameKind::hello},
     Errc::message_too_large},
    {"a second hello", {.length = 0, .kind = cohort::detail::FrameKind::hello}, Errc::bad_frame},
};

} // namespace

TEST_CASE("different message types are told apart before any message, by both names") {
    asio::io_context io;
    auto [one, other] = cohort::detail::make_socketpair(SOCK_STREAM);
    Channel<Numbered> notes(io.get_executor(), std::move(one));
    Channel<Other> others(io.get_executor(), std::move(other));
    struct Run {
        static Task<> send(Channel<Other>& channel) {
            const Other value{};
            co_await channel.send(value);
        }
    };
    run_for(io, Run::send(others));
    Inbox inbox;
    for (int attempt = 0; attempt < 2; ++attempt) {
        run_for(io, receive_into(notes, inbox));
        CHECK(inbox.error == Errc::schema_mismatch);
        CHECK(inbox.what.find("test::Numbered") != std::string::npos);
        CHECK(inbox.what.find("shapes::Other") != std::string::npos);
        CHECK(inbox.count == 0);
    }
}

TEST_CASE("every cut of a conversation is an end, not an error, and what was whole is received") {
    Wire wire;
    wire.hello();
    const std::size_t after_hello = wire.bytes.size();
    wire.message(0);
    const std::size_t after_first = wire.bytes.size();
    wire.message(1);
    for (std::size_t cut = 0; cut <= wire.bytes.size(); ++cut) {
        CAPTURE(cut);
        Victim victim;
        Wire part;
        part.bytes.append(wire.bytes.data(), cut);
        victim.write(part);
        const auto inbox = victim.read_to_the_end();
        CHECK(inbox.count == (cut < after_first ? 0 : cut < wire.bytes.size() ? 1 : 2));
        CHECK(inbox.wrong == 0);
        CHECK(inbox.ended);
        CHECK_FALSE(inbox.error);
    }
    CHECK(after_hello < after_first);
}

TEST_CASE("one byte at a time is as good as all at once") {
    Wire wire;
    wire.hello().message(0).message(1).message(2);
    Victim victim;
    Inbox inbox;
    start(victim.io, receive_into(victim.channel, inbox));
    for (std::size_t i = 0; i < wire.bytes.size(); ++i) {
        REQUIRE(::send(victim.peer.get(), wire.bytes.data() + i, 1, MSG_NOSIGNAL) == 1);
        settle(victim.io);
        CHECK_FALSE(inbox.ended);
    }
    CHECK(inbox.count == 3);
    CHECK(inbox.wrong == 0);
}

TEST_CASE("a bad frame is an error, also before the first message, and stays one") {
    for (const auto& row : bad_frames) {
        CAPTURE(row.name);
        Victim victim;
        Wire wire;
        victim.write(wire.hello().message(0).header(row.header).raw("12345678").message(1));
        Inbox inbox;
        run_for(victim.io, receive_into(victim.channel, inbox));
        CHECK(inbox.count == 1);
        CHECK(inbox.error == row.error);
        run_for(victim.io, receive_into(victim.channel, inbox));
        CHECK(inbox.count == 1);
        CHECK(inbox.error == row.error);
    }
    for (const auto& row : bad_frames) {
        if (row.header.kind == cohort::detail::FrameKind::hello) continue;
        CAPTURE(row.name);
        Victim victim;
        Wire wire;
        victim.write(wire.header(row.header).raw("12345678"));
        CHECK(victim.read_to_the_end().error == row.error);
    }
}

namespace {

Task<Numbered> hang(const Numbered&) {
    co_await never();
    co_return Numbered{};
}

Task<> note_end_of_serving(Channel<Numbered>& channel, std::error_code& error) {
    try {
        co_await channel.serve(hang, 1);
    } catch (const std::system_error& thrown) {
        error = thrown.code();
    }
}

} // namespace

TEST_CASE("a bad frame ends serve also while as many handlers run as may") {
    for (const auto& row : bad_frames) {
        if (row.header.descriptors != 0) continue; // found out when the message is to be taken
        for (const bool at_once : {true, false}) {
            CAPTURE(std::string(row.name));
            CAPTURE(at_once);
            Victim victim;
            Wire wire;
            Wire rest;
            wire.hello().call(1);
            rest.header(row.header).raw("12345678");
            std::error_code error;
            start(victim.io, note_end_of_serving(victim.channel, error));
            victim.write(wire);
            if (!at_once) settle(victim.io);
            victim.write(rest);
            run_until(victim.io, [&] { return static_cast<bool>(error); });
            CHECK(error == row.error);
        }
    }
}

TEST_CASE("a raw length field harms nobody, even as the very first bytes") {
    for (const std::uint32_t length : {1U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
        for (const std::size_t size : {sizeof length, sizeof(cohort::detail::FrameHeader)}) {
            CAPTURE(length);
            CAPTURE(size);
            Victim victim;
            Wire wire;
            cohort::detail::FrameHeader header{.length = length};
            wire.bytes.append(&header, size);
            victim.write(wire);
            const auto inbox = victim.read_to_the_end();
            CHECK(inbox.count == 0);
            if (size == sizeof header && length > 1)
                CHECK(inbox.error == Errc::message_too_large);
            else
                CHECK(inbox.ended);
        }
    }
}

TEST_CASE("bytes that are no message of the type are an error") {
    for (const std::string_view payload : {"", "1234567", "12345678\xff\xff\xff\xff", "12345678\x01"}) {
        Victim victim;
        Wire wire;
        cohort::detail::FrameHeader header{.length = static_cast<std::uint32_t>(payload.size())};
        victim.write(wire.hello().message(0).header(header).raw(payload));
        const auto inbox = victim.read_to_the_end();
        CHECK(inbox.count == 1);
        CHECK((inbox.error == Errc::bad_message || inbox.error == Errc::message_too_large));
    }
}

TEST_CASE("a message before the hello, and a hello that is none, are errors") {
    Victim impatient;
    Wire wire;
    impatient.write(wire.message(0));
    CHECK(impatient.read_to_the_end().error == Errc::bad_frame);

    Victim confused;
    Wire hello;
    confused.write(hello.header({.length = 3, .kind = cohort::detail::FrameKind::hello}).raw("abc"));
    CHECK(confused.read_to_the_end().error == Errc::bad_message);
}

TEST_CASE("random bytes end in an error or an end, and never harm the receiver") {
    std::mt19937 random(20240502);
    for (int round = 0; round < 500; ++round) {
        CAPTURE(round);
        Victim victim({.max_length = 10'000});
        Wire wire;
        if (round % 2 == 0) wire.hello();
        if (round % 4 == 0) wire.message(0).message(1);
        const std::size_t size = random() % 200;
        for (std::size_t i = 0; i < size; ++i) {
            const auto byte = static_cast<unsigned char>(random() % 3 == 0 ? random() : random() % 3);
            wire.bytes.append(&byte, 1);
        }
        // Also damage to what was right.
        for (auto i = random() % 3; i > 0 && !wire.bytes.empty(); --i)
            wire.bytes.data()[random() % wire.bytes.size()] = static_cast<std::byte>(random());
        victim.write(wire);
        const auto inbox = victim.read_to_the_end();
        CHECK((inbox.ended || inbox.error));
        if (inbox.error) CHECK(inbox.error.category() == cohort::error_category());
    }
}

TEST_CASE("a peer that vanishes with our bytes unread is an end like any other") {
    Victim victim;
    Wire wire;
    victim.write(wire.hello().message(0));
    run_for(victim.io, send_some(victim.channel, 0, 10));
    const auto inbox = victim.read_to_the_end(); // ECONNRESET, as unix(7) has it
    CHECK(inbox.count == 1);
    CHECK(inbox.ended);
    CHECK_FALSE(inbox.error);
}

TEST_CASE("what a dead peer had sent can be taken in although a third process holds its end open") {
    Victim victim;
    Wire wire;
    victim.write(wire.hello().message(0).message(1));
    const cohort::detail::UniqueFd grandchilds(::dup(victim.peer.get()));
    Inbox inbox;
    start(victim.io, receive_into(victim.channel, inbox));
    settle(victim.io);
    cohort::detail::Access::stream(victim.channel).drain();
    run_until(victim.io, [&] { return inbox.ended; });
    CHECK(inbox.count == 2);
}
