// SPDX-License-Identifier: MIT
#include <cohort/detail/async/async_fd.hpp>

#include <doctest/doctest.h>

#include <support/run_for.hpp>

#include <cohort/detail/system/fd_passing.hpp>

#include <asio/io_context.hpp>

#include <utility>

using namespace std::chrono_literals;
using cohort::Task;
using namespace cohort::detail;

namespace {

Task<> wait_readable(AsyncFd& fd, std::error_code& error, bool& done) {
    co_await fd.readable(error);
    done = true;
}

Task<> wait_or_give_up(AsyncFd& fd) {
    std::error_code error;
    co_await test::either(fd.readable(error), test::sleep_for(1ms));
}

} // namespace

TEST_CASE("a wait ends when there is something to read, and takes none of it") {
    asio::io_context io;
    auto [a, b] = make_socketpair(SOCK_STREAM);
    AsyncFd fd(io.get_executor(), std::move(a));
    bool done = false;
    std::error_code error;
    test::start(io, wait_readable(fd, error, done));
    test::settle(io);
    CHECK_FALSE(done);

    REQUIRE(::write(b.get(), "x", 1) == 1);
    test::run_until(io, [&] { return done; });
    CHECK_FALSE(error);
    char byte = 0;
    CHECK(::read(fd.get(), &byte, 1) == 1);
}

TEST_CASE("the end of the other side ends a wait too") {
    asio::io_context io;
    auto [a, b] = make_socketpair(SOCK_STREAM);
    AsyncFd fd(io.get_executor(), std::move(a));
    bool done = false;
    std::error_code error;
    test::start(io, wait_readable(fd, error, done));
    test::settle(io);
    b.reset();
    test::run_until(io, [&] { return done; });
    CHECK_FALSE(error);
}

TEST_CASE("cancelling and closing end a wait with operation_aborted") {
    for (const bool close : {false, true}) {
        CAPTURE(close);
        asio::io_context io;
        auto [a, b] = make_socketpair(SOCK_STREAM);
        AsyncFd fd(io.get_executor(), std::move(a));
        bool done = false;
        std::error_code error;
        test::start(io, wait_readable(fd, error, done));
        test::settle(io);
        if (close)
            fd.close();
        else
            fd.cancel();
        test::run_until(io, [&] { return done; });
        CHECK(error == asio::error::operation_aborted);
        CHECK(fd.is_open() == !close);
    }
}

TEST_CASE("a wait beside a timer can be given up, and made again") {
    asio::io_context io;
    auto [a, b] = make_socketpair(SOCK_STREAM);
    AsyncFd fd(io.get_executor(), std::move(a));
    for (int i = 0; i < 20; ++i) test::run_for(io, wait_or_give_up(fd));
    REQUIRE(::write(b.get(), "x", 1) == 1);
    bool done = false;
    std::error_code error;
    test::start(io, wait_readable(fd, error, done));
    test::run_until(io, [&] { return done; });
    CHECK_FALSE(error);
}

TEST_CASE("a closed descriptor leaves the loop although a copy of it lives on") {
    asio::io_context io;
    auto [a, b] = make_socketpair(SOCK_STREAM);
    const UniqueFd copy(::dup(a.get()));
    const int number = a.get();
    {
        AsyncFd fd(io.get_executor(), std::move(a));
        bool done = false;
        std::error_code error;
        test::start(io, wait_readable(fd, error, done));
        test::settle(io);
        fd.close();
        test::run_until(io, [&] { return done; });
    }
    CHECK_FALSE(OwnedDescriptors::contains(number));
    // Another socket gets the number. Were the first still in the epoll set, this could not be added, or heard for it.
    auto [c, d] = make_socketpair(SOCK_STREAM);
    AsyncFd successor(io.get_executor(), std::move(c));
    bool done = false;
    std::error_code error;
    test::start(io, wait_readable(successor, error, done));
    REQUIRE(::write(b.get(), "x", 1) == 1);
    test::settle(io);
    CHECK_FALSE(done);
    REQUIRE(::write(d.get(), "x", 1) == 1);
    test::run_until(io, [&] { return done; });
}
