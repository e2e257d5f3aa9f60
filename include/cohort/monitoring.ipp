// SPDX-License-Identifier: MIT
// The bodies of monitoring.hpp (layer 5).
#pragma once

#include <cohort/monitoring.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/version.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cohort::monitoring::detail {

/// The text exposition format, version 0.0.4, of Prometheus' documentation.
class Exposition {
public:
    template <std::integral N>
    void add(std::string_view name, std::string_view type, std::string_view help, N value) {
        describe(name, type, help);
        sample(name, "", value);
    }
    void describe(std::string_view name, std::string_view type, std::string_view help) {
        text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
        text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
    }
    template <std::integral N>
    void sample(std::string_view name, std::string_view labels, N value) {
        text_.append(name).append(labels).append(" ").append(std::to_string(value)).append("\n");
    }
    void text_sample(std::string_view name, std::string_view value, std::string_view labels = "") {
        text_.append(name).append(labels).append(" ").append(value).append("\n");
    }
    std::string text() && { return std::move(text_); }

private:
    std::string text_;
};

/// In full, without an exponent and without zeros at its end.
COHORT_DECL std::string in_seconds(std::chrono::nanoseconds time) {
    constexpr std::int64_t second = 1'000'000'000;
    std::string text = std::to_string(time.count() / second);
    std::string fraction = std::to_string(second + time.count() % second).substr(1);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    return fraction.empty() ? text : text + "." + fraction;
}

/// A histogram's buckets count all below their bound; times are in seconds.
COHORT_DECL void expose_latency(Exposition& out, const Latency& latency) {
    const std::string name = "cohort_request_duration_seconds";
    out.describe(name, "histogram", "What requests take, from their begin to the end of their answer.");
    std::uint64_t below = 0;
    for (std::size_t i = 0; i != latency.counts.size(); ++i) {
        below += latency.counts[i];
        const bool has_bound = i != Latency::bounds.size();
        const std::string bound = has_bound ? in_seconds(Latency::bounds[i]) : "+Inf";
        out.sample(name + "_bucket", "{le=\"" + bound + "\"}", below);
    }
    out.text_sample(name + "_sum", in_seconds(latency.sum));
    out.sample(name + "_count", "", below);
}

/// Of each that is there now, by its slot: of two in one slot, during a reload, the newer one.
COHORT_DECL void expose_workers(Exposition& out, const std::vector<Totals::Living>& living) {
    std::map<unsigned, const Totals::Living*> by_slot;
    for (const Totals::Living& worker : living) {
        const Totals::Living*& place = by_slot[worker.slot];
        if (place == nullptr || place->worker < worker.worker) place = &worker;
    }
    const auto each = [&](const char* name, const char* help, auto value) {
        out.describe(name, "gauge", help);
        for (const auto& [slot, worker] : by_slot)
            out.text_sample(name, value(*worker), "{slot=\"" + std::to_string(slot) + "\"}");
    };
    each("cohort_worker_connections_open", "Connections that the worker has.",
         [](const Totals::Living& worker) { return std::to_string(worker.open); });
    each("cohort_worker_requests_in_progress", "Requests of the worker that have not ended.",
         [](const Totals::Living& worker) { return std::to_string(worker.in_progress); });
    each("cohort_worker_loop_lag_seconds", "How late the worker's event loop came to its last heartbeat.",
         [](const Totals::Living& worker) { return in_seconds(worker.lag); });
}

COHORT_DECL void expose(Exposition& out, const Totals& totals) {
    out.add("cohort_workers", "gauge", "Worker processes.", totals.workers);
    out.add("cohort_connections_open", "gauge", "Connections that workers have.", totals.open);
    out.add("cohort_connections_accepted_total", "counter", "Connections that workers have accepted.", totals.accepted);
    out.add("cohort_connections_refused_total", "counter", "Connections that workers have given back.", totals.refused);
    out.add("cohort_connections_queued", "gauge", "Connections that nobody has accepted yet.", totals.queued);
    out.add("cohort_calls_waiting", "gauge", "Calls that wait for a worker.", totals.waiting_calls);
    out.add("cohort_requests_total", "counter", "Requests that have begun.", totals.requests);
    out.add("cohort_requests_in_progress", "gauge", "Requests that have not ended.", totals.requests - totals.answered);
    out.describe("cohort_http_responses_total", "counter", "HTTP responses by class of status.");
    for (std::size_t i = 0; i != totals.responses.size(); ++i)
        out.sample("cohort_http_responses_total", "{class=\"" + std::to_string(i + 1) + "xx\"}", totals.responses[i]);
    expose_latency(out, totals.latency);
    out.add("cohort_worker_restarts_total", "counter", "Workers that got a successor because they had ended.",
            totals.restarts);
    out.describe("cohort_reloads_total", "counter", "Reloads by result.");
    out.sample("cohort_reloads_total", "{result=\"success\"}", totals.reloads);
    out.sample("cohort_reloads_total", "{result=\"failure\"}", totals.failed_reloads);
    out.add("cohort_generation", "gauge", "Reloads that have begun.", totals.generation);
    expose_workers(out, totals.living);
    out.describe("cohort_build_info", "gauge", "Always 1; the version is a label.");
    out.sample("cohort_build_info", "{version=\"" COHORT_VERSION_STRING "\"}", 1);
    for (const auto& count : totals.counts)
        out.add(count.name, count.name.ends_with("_total") ? "counter" : "gauge", "The program's own.", count.value);
}

COHORT_DECL http::Response to_response(Exposition out) {
    http::Response response = http::text(std::move(out).text());
    response.default_type("text/plain; version=0.0.4; charset=utf-8");
    return response;
}

COHORT_LAZY COHORT_DECL Task<http::Response> answer_liveness() { co_return http::text("alive\n"); }

COHORT_DECL http::Response unready(const char* why) {
    http::Response response = http::text(why);
    response.status(503);
    return response;
}

COHORT_LAZY COHORT_DECL Task<http::Response> answer_readiness(bool stopping) {
    co_return stopping ? unready("leaving\n") : http::text("ready\n");
}

COHORT_LAZY COHORT_DECL Task<http::Response> answer_metrics(Totals totals) {
    Exposition out;
    expose(out, totals);
    co_return to_response(std::move(out));
}

} // namespace cohort::monitoring::detail
