// SPDX-License-Identifier: MIT
// What load balancers, orchestrators and Prometheus ask a worker (layer 5).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/http/request.hpp>
#include <cohort/http/response.hpp>
#include <cohort/http/router.hpp>
#include <cohort/stats.hpp>
#include <cohort/task.hpp>

/// Handlers for an http::Router of workers, each by itself or all of them:
///
///     router.get("/livez", monitoring::liveness<App::Worker>);
///     router.mount("/", monitoring::endpoints<App::Worker>());
namespace cohort::monitoring {

namespace detail {

COHORT_LAZY Task<http::Response> answer_liveness();
COHORT_LAZY Task<http::Response> answer_readiness(bool stopping);
COHORT_LAZY Task<http::Response> answer_metrics(Totals totals);

} // namespace detail

/// 200 as long as the worker's loop turns.
template <class Worker>
Task<http::Response> liveness(Worker&, const http::Request&) {
    return detail::answer_liveness();
}

/// 200 while the worker may be given work, 503 once it is to leave: a balancer that keeps its connections open then
/// sends its requests elsewhere.
template <class Worker>
Task<http::Response> readiness(Worker& self, const http::Request&) {
    return detail::answer_readiness(self.stopping());
}

/// The sums over all workers (Totals), and the program's own counters (Worker::counter), for Prometheus. Every worker
/// reports the same. Nothing in it is secret, but it need not be public: `listen(..., exclusive)` or another port keeps
/// it internal.
template <class Worker>
Task<http::Response> metrics(Worker& self, const http::Request&) {
    return detail::answer_metrics(self.totals());
}

/// All of them: /livez, /readyz, /metrics.
template <class Worker>
http::Router<Worker> endpoints() {
    http::Router<Worker> router;
    router.get("/livez", liveness<Worker>).get("/readyz", readiness<Worker>).get("/metrics", metrics<Worker>);
    return router;
}

} // namespace cohort::monitoring

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/monitoring.ipp>
#endif
