// SPDX-License-Identifier: MIT
// Connecting to a Unix socket without holding up the event loop (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

namespace cohort::detail {

/// Connects to a Unix socket. Retries while the listener's queue is full: there is no event for it (unix(7), EAGAIN).
COHORT_LAZY Task<UniqueFd> connect_to(asio::any_io_executor executor, Endpoint endpoint);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/connect.ipp>
#endif
