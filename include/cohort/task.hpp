// SPDX-License-Identifier: MIT
// Task<T>: the type of everything that waits (layer 0).
#pragma once

#include <cohort/detail/config.hpp>

#include <asio/awaitable.hpp>

namespace cohort {

/// A coroutine that has not begun: it runs when awaited or given to asio::co_spawn.
///
/// It is Asio's awaitable, so timers, co_spawn, cancellation and asio::experimental::awaitable_operators (`&&`, `||`)
/// work on it. Write roles and handlers as named coroutine functions with parameters: GCC 12 miscompiles some captured
/// lambdas inside a co_await expression.
template <class T = void>
using Task = asio::awaitable<T>;

} // namespace cohort
