// SPDX-License-Identifier: MIT
#include <cohort/detail/channel/frame_stream.hpp>
#include <cohort/detail/channel/transport.hpp>

#include <doctest/doctest.h>

#include <support/faulty_system.hpp>
#include <support/run_for.hpp>

#include <cohort/detail/system/fd_passing.hpp>

#include <asio/io_context.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using cohort::Errc;
using cohort::Task;
using namespace cohort::detail;

namespace {

struct Streams {
    explicit Streams(StreamLimits limits = {}) {
        auto [one, other] = make_socketpair(SOCK_STREAM);
        a = open(std::move(one), limits);
        b = open(std::move(other), limits);
    }
    ~Streams() {
        a->abort();
        b->abort();
        test::settle(io);
    }

    std::shared_ptr<FrameStream> open(UniqueFd socket, StreamLimits limits) {
        auto transport = std::make_unique<Transport>(io.get_executor(), std::move(socket));
        return std::make_shared<FrameStream>(io.get_executor(), std::move(transport), limits);
    }

    asio::io_context io;
    std::shared_ptr<FrameStream> a;
    std::shared_ptr<FrameStream> b;
};

void push(FrameStream& stream, std::string_view text) {
    stream.push(FrameKind::message, 0, [&](Buffer& out, std::vector<int>&) { out.append(text.data(), text.size()); });
}

/// What is here already.
std::vector<std::string> take_all(FrameStream& stream) {
    std::vector<std::string> texts;
    while (const auto frame = stream.front()) {
        texts.emplace_back(reinterpret_cast<const char*>(frame->payload.data()), frame->payload.size());
        stream.consume(*frame);
    }
    return texts;
}

Task<> fill(FrameStream& stream, bool& more) { more = co_await stream.fill(); }

} // namespace

TEST_CASE("the first frame of a turn goes out at once, those that follow go together at its end") {
    Streams streams;
    test::FaultySystem system;
    push(*streams.a, "first");
    CHECK(system.sends == 1);
    for (int i = 0; i < 100; ++i) push(*streams.a, "more");
    CHECK(system.sends == 1);
    test::settle(streams.io);
    CHECK(system.sends == 2);

    bool more = false;
    test::run_for(streams.io, fill(*streams.b, more));
    CHECK(more);
    CHECK(take_all(*streams.b).size() == 101);
    CHECK(system.receives == 1);
}

TEST_CASE("a frame stays in front until it is consumed") {
    Streams streams;
    push(*streams.a, "x");
    bool more = false;
    test::run_for(streams.io, fill(*streams.b, more));
    CHECK(streams.b->front()->payload.size() == 1);
    CHECK(streams.b->front()->payload.size() == 1);
    CHECK(take_all(*streams.b) == std::vector<std::string>{"x"});
    CHECK_FALSE(streams.b->front());
}

TEST_CASE("a stream that was finished or closed takes nothing more, one that failed says why") {
    Streams finished;
    finished.a->finish();
    CHECK_FALSE(finished.a->can_send());
    CHECK(finished.a->is_open());
    CHECK(test::error_of([&] { push(*finished.a, "x"); }) == Errc::closed);

    Streams closed;
    closed.a->close();
    CHECK_FALSE(closed.a->is_open());
    CHECK(test::error_of([&] { push(*closed.a, "x"); }) == Errc::closed);

    Streams failed;
    failed.b->abort();
    push(*failed.a, "x"); // finds out
    CHECK(test::error_of([&] { push(*failed.a, "x"); }) == std::errc::broken_pipe);
}

TEST_CASE("what cannot be framed leaves the stream as it was") {
    Streams streams({.max_length = 4});
    CHECK(test::error_of([&] { push(*streams.a, "12345"); }) == Errc::message_too_large);
    push(*streams.a, "1234");
    bool more = false;
    test::run_for(streams.io, fill(*streams.b, more));
    CHECK(take_all(*streams.b) == std::vector<std::string>{"1234"});
}

TEST_CASE("the way out of a process has a deadline, although nobody reads") {
    Streams streams({.high_water = 1});
    for (int i = 0; i < 2000; ++i) push(*streams.a, std::string(1000, 'x'));
    const auto begin = std::chrono::steady_clock::now();
    streams.a->flush_now(std::chrono::milliseconds(50));
    const auto time = std::chrono::steady_clock::now() - begin;
    CHECK(time >= std::chrono::milliseconds(50));
    CHECK(time < std::chrono::seconds(10));
}

TEST_CASE("an error of the kernel while reading reaches the reader") {
    Streams streams;
    test::FaultySystem system;
    system.failure = EIO;
    system.fail_next = 1;
    bool more = false;
    CHECK(test::error_of([&] { test::run_for(streams.io, fill(*streams.b, more)); }) == std::errc::io_error);
}
