// SPDX-License-Identifier: MIT
// Tasks beside each other. One asio::co_spawn, `&&` and `||` for all tests: for each other kind of coroutine, handler
// or result some hundred functions would be compiled anew.
#pragma once

#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <utility>

namespace test {

using Ended = std::function<void(std::exception_ptr)>;

/// Begins at the next turn of the event loop. `ended` gets what the task threw; without it that is dropped.
void spawn(asio::io_context& io, cohort::Task<> task, Ended ended = {});
void spawn(const asio::any_io_executor& executor, cohort::Task<> task, Ended ended = {});

/// Asio's `&&` of two tasks.
cohort::Task<> both(cohort::Task<> first, cohort::Task<> second);
/// Asio's `||`: which of the two it was, 0 or 1.
cohort::Task<std::size_t> either(cohort::Task<> first, cohort::Task<> second);

/// A task with a result as one without: `result` gets it.
template <class T, class Result>
cohort::Task<> keep_result(cohort::Task<T> task, Result& result) {
    result = co_await std::move(task);
}
template <class T>
cohort::Task<> drop_result(cohort::Task<T> task) {
    co_await std::move(task);
}

} // namespace test
