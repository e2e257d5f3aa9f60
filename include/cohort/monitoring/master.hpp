// SPDX-License-Identifier: MIT
// What load balancers, orchestrators and Prometheus ask a master (layer 5).
#pragma once

#include <cohort/master_base.hpp>
#include <cohort/server_socket.hpp>
#include <cohort/task.hpp>

namespace cohort::monitoring {

/// Where no worker speaks HTTP: the master answers GET /livez, /readyz and /metrics by itself, until it stops; then the
/// socket is closed. It is ready while a worker is (Options::readiness) and it does not stop. Its metrics have more
/// than a worker's: the messages and calls of each slot, and what waits at each endpoint. `socket` outlives the Task.
///
///     Task<> watch(MasterBase& master) { // of cohort::run(options, work, watch)
///         const Endpoint endpoint = Endpoint::tcp("127.0.0.1", 9090);
///         auto socket = co_await ServerSocket::listen(master.context().get_executor(), endpoint);
///         co_await monitoring::serve(master, socket);
///     }
[[nodiscard]] Task<> serve(MasterBase& master, ServerSocket& socket);

} // namespace cohort::monitoring

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/monitoring/master.ipp>
#endif
