// SPDX-License-Identifier: MIT
// A task beside the others. One asio::co_spawn for all tests: for each other kind of coroutine or handler some three
// hundred functions would be compiled anew.
#pragma once

#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>

#include <exception>
#include <functional>
#include <utility>

namespace test {

using Ended = std::function<void(std::exception_ptr)>;

/// Begins at the next turn of the event loop. `ended` gets what the task threw; without it that is dropped.
void spawn(asio::io_context& io, cohort::Task<> task, Ended ended = {});
void spawn(const asio::any_io_executor& executor, cohort::Task<> task, Ended ended = {});

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
