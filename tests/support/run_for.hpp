// SPDX-License-Identifier: MIT
// Runs coroutines to their end, but never longer than a deadline.
#pragma once

#include "spawn.hpp"

#include <cohort/task.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <system_error>
#include <utility>

namespace test {

inline constexpr std::chrono::seconds patience{30};

/// Starts a coroutine that runs beside the others; what it throws comes out of run_for() or run_until().
void start(asio::io_context& io, cohort::Task<> task);

/// Runs the loop until `done()` holds; fails the test when the deadline passes or nothing is left that could happen.
void run_until(asio::io_context& io, const std::function<bool()>& done, std::chrono::seconds limit = patience);

/// Runs the loop until the coroutine has ended, and throws what it throws.
void run_for(asio::io_context& io, cohort::Task<> task, std::chrono::seconds limit = patience);

/// Lets what can happen at once happen.
void settle(asio::io_context& io);

cohort::Task<> sleep_for(std::chrono::steady_clock::duration time);

/// Ends only when it is cancelled.
cohort::Task<> never();

/// To the end of the event loop's queue.
cohort::Task<> yield();

/// `task`, but not before `number` is positive: a sender that begins when its receiver has given up once.
template <class Number>
cohort::Task<> when_positive(const Number& number, cohort::Task<> task) {
    while (number <= 0) co_await yield();
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
