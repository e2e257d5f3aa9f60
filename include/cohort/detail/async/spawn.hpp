// SPDX-License-Identifier: MIT
// spawn: a task that runs beside everything else, and that nobody waits for (layer 3).
#pragma once

#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_signal.hpp>

namespace cohort::detail {

/// It begins at once where the event loop runs, elsewhere at its next turn. What it throws is dropped. `slot` cancels
/// it. One asio::co_spawn for all of the library: each other kind of completion handler would be compiled anew.
void spawn(const asio::any_io_executor& executor, Task<> task, asio::cancellation_slot slot = {});

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/spawn.ipp>
#endif
