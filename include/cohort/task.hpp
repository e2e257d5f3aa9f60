// SPDX-License-Identifier: MIT
// Task<T>: the type of everything that waits (layer 0).
#pragma once

#include <cohort/detail/config.hpp>

#include <asio/awaitable.hpp>

namespace cohort {

/// A coroutine that has not begun: it runs when awaited or given to asio::co_spawn.
///
/// It is Asio's awaitable, so timers, co_spawn, cancellation and asio::experimental::awaitable_operators (`&&`, `||`)
/// work on it. Three habits avoid what g++ 12 compiles wrongly: write roles and handlers as named coroutine functions
/// with parameters, not as capturing lambdas inside a co_await expression; name an aggregate before you give it to a
/// co_await expression; and name what co_await gives before you test it (`while (auto mail = co_await ...)` is fine,
/// `if (!co_await ...)` is not).
template <class T = void>
using Task = asio::awaitable<T>;

} // namespace cohort
