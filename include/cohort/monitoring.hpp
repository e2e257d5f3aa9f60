// SPDX-License-Identifier: MIT
// What load balancers, orchestrators and Prometheus ask a worker (layer 5).
#pragma once

#include <cohort/http/router.hpp>
#include <cohort/stats.hpp>
#include <cohort/task.hpp>

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

/// Handlers for an http::Router of workers, each by itself or all of them:
///
///     router.get("/livez", monitoring::liveness<App::Worker>);
///     router.mount("/", monitoring::endpoints<App::Worker>());
namespace cohort::monitoring {

namespace detail {

/// The text exposition format, version 0.0.4, of Prometheus' documentation.
class Exposition {
public:
    template <std::integral N>
    void add(std::string_view name, std::string_view type, std::string_view help, N value) {
        describe(name, type, help);
        sample(name, "", value);
    }
    void describe(std::string_view name, std::string_view type, std::string_view help) {
        if (!help.empty()) text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
        text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
    }
    template <std::integral N>
    void sample(std::string_view name, std::string_view labels, N value) {
        text_.append(name).append(labels).append(" ").append(std::to_string(value)).append("\n");
    }
    std::string text() && { return std::move(text_); }

private:
    std::string text_;
};

std::string expose(const Totals& totals);

} // namespace detail

/// 200 as long as the worker's loop turns.
template <class Worker>
Task<http::Response> liveness(Worker&, const http::Request&) {
    co_return http::text("alive\n");
}

/// 200 while the worker may be given work, 503 once it is to leave: a balancer that keeps its connections open then
/// sends its requests elsewhere.
template <class Worker>
Task<http::Response> readiness(Worker& self, const http::Request&) {
    if (!self.stopping()) co_return http::text("ready\n");
    http::Response leaving = http::text("leaving\n");
    leaving.status(503);
    co_return leaving;
}

/// What all workers have done and have (Totals), and the program's own counters (Worker::counter), for Prometheus. Any
/// worker tells the same. Nothing in it is secret, but it need not be public: `listen(..., exclusive)` or another port
/// keeps it among friends.
template <class Worker>
Task<http::Response> metrics(Worker& self, const http::Request&) {
    http::Response response = http::text(detail::expose(self.totals()));
    response.default_type("text/plain; version=0.0.4; charset=utf-8");
    co_return response;
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
