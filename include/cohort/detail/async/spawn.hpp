// SPDX-License-Identifier: MIT
// spawn: a task that runs beside everything else, and that nobody waits for (layer 3).
#pragma once

#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_signal.hpp>

#include <memory>

namespace cohort::detail {

/// It starts at once when called from the event loop, otherwise at its next turn. Its exceptions are dropped. `slot`
/// cancels it. Shared by most of the library: asio::co_spawn is compiled anew for each type of completion handler.
void spawn(const asio::any_io_executor& executor, Task<> task, asio::cancellation_slot slot = {});

/// What is called with `object` when the frame of a task is gone, and whether it threw.
using TaskEnded = void (*)(const std::shared_ptr<void>& object, bool threw);

/// The same for a task of which somebody wants to know that it has ended.
void spawn(const asio::any_io_executor& executor, Task<> task, asio::cancellation_slot slot, TaskEnded ended,
           std::shared_ptr<void> object);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/spawn.ipp>
#endif
