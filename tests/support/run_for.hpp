// SPDX-License-Identifier: MIT
// Runs coroutines to their end, but never longer than a deadline.
#pragma once

#include <cohort/task.hpp>

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <system_error>
#include <utility>

namespace test {

inline constexpr std::chrono::seconds patience{30};

/// Starts a coroutine that runs beside the others; what it throws comes out of run_for() or run_until().
inline void start(asio::io_context& io, cohort::Task<> task) {
    asio::co_spawn(io, std::move(task), [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
    });
}

/// Runs the loop until `done()` holds; fails the test when the deadline passes or nothing is left that could happen.
inline void run_until(asio::io_context& io, const std::function<bool()>& done, std::chrono::seconds limit = patience) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    io.restart();
    while (!done()) {
        if (io.run_one_until(deadline) != 0) continue;
        if (io.stopped()) FAIL("everything waits for something that will not happen");
        FAIL("not done after ", limit.count(), " s");
    }
}

/// Runs the loop until the coroutine has ended, and throws what it throws.
inline void run_for(asio::io_context& io, cohort::Task<> task, std::chrono::seconds limit = patience) {
    bool done = false;
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr error) {
        failure = error;
        done = true;
    });
    run_until(
        io, [&] { return done; }, limit);
    if (failure) std::rethrow_exception(failure);
}

/// Lets what can happen at once happen.
inline void settle(asio::io_context& io) {
    io.restart();
    while (io.poll() != 0) {
    }
}

inline cohort::Task<> sleep_for(std::chrono::steady_clock::duration time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

/// `task`, but not before `number` is positive: a sender that begins when its receiver has given up once.
template <class Number>
cohort::Task<> when_positive(const Number& number, cohort::Task<> task) {
    while (number <= 0) co_await asio::post(asio::use_awaitable);
    co_await std::move(task);
}

/// The error that `action` throws; none if it throws nothing.
template <class Action>
std::error_code error_of(Action&& action) {
    try {
        action();
    } catch (const std::system_error& error) {
        return error.code();
    }
    return {};
}

} // namespace test
