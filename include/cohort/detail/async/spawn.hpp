// SPDX-License-Identifier: MIT
// spawn: a task that runs beside everything else, and that nobody waits for (layer 3).
#pragma once

#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_signal.hpp>

namespace cohort::detail {

/// It starts at once when called from the event loop, otherwise at its next turn. Its exceptions are dropped. `slot`
/// cancels it. Shared by most of the library: asio::co_spawn is compiled anew for each type of completion handler.
void spawn(const asio::any_io_executor& executor, Task<> task, asio::cancellation_slot slot = {});

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/spawn.ipp>
#endif
