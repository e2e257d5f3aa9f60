// SPDX-License-Identifier: MIT
#include <cohort/task.hpp>

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <variant>

using namespace std::chrono_literals;
using cohort::Task;

namespace {

Task<int> answer(bool& begun) {
    begun = true;
    co_return 42;
}

Task<> fail() {
    throw std::runtime_error("no");
    co_return;
}

Task<> wait(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

Task<> race(std::size_t& winner) {
    using namespace asio::experimental::awaitable_operators;
    const auto result = co_await (wait(1ms) || wait(1h));
    winner = result.index();
}

std::exception_ptr run(Task<> task) {
    asio::io_context io;
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr error) { failure = error; });
    io.run();
    return failure;
}

} // namespace

TEST_CASE("a task begins when it is started, not when it is made") {
    bool begun = false;
    int result = 0;
    asio::io_context io;
    auto task = answer(begun);
    CHECK_FALSE(begun);
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr, int value) { result = value; });
    io.run();
    CHECK(begun);
    CHECK(result == 42);
}

TEST_CASE("what a task throws reaches whoever waits for it") {
    const auto failure = run(fail());
    REQUIRE(failure);
    CHECK_THROWS_AS(std::rethrow_exception(failure), std::runtime_error);
}

TEST_CASE("Asio's operators work on tasks: the slower of two is cancelled") {
    std::size_t winner = 9;
    CHECK_FALSE(run(race(winner)));
    CHECK(winner == 0);
}
