// SPDX-License-Identifier: MIT
// until_expired: a coroutine waits for a timer of Asio's (layer 3).
#pragma once

#include <cohort/task.hpp>

#include <asio/steady_timer.hpp>

#include <system_error>

namespace cohort::detail {

/// Shared by all of the library: Asio's waits are compiled anew for each completion token, some 100 functions.
/// `error`: operation_aborted when the wait was cancelled.
Task<> until_expired(asio::steady_timer& timer, std::error_code& error);
/// Throws operation_aborted.
Task<> until_expired(asio::steady_timer& timer);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/expiry.ipp>
#endif
