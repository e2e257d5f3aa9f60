// SPDX-License-Identifier: MIT
// The bodies of monitoring.hpp (layer 5).
#pragma once

#include <cohort/monitoring.hpp>

#include <cohort/detail/config.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

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

COHORT_DECL std::string expose(const Totals& totals) {
    Exposition out;
    out.add("cohort_workers", "gauge", "Worker processes.", totals.workers);
    out.add("cohort_connections_open", "gauge", "Connections that workers have.", totals.open);
    out.add("cohort_connections_accepted_total", "counter", "Connections that workers have accepted.", totals.accepted);
    out.add("cohort_connections_refused_total", "counter", "Connections that workers have given back.", totals.refused);
    out.add("cohort_requests_total", "counter", "Requests that have begun.", totals.requests);
    out.add("cohort_requests_in_progress", "gauge", "Requests that have not ended.", totals.requests - totals.answered);
    out.describe("cohort_http_responses_total", "counter", "HTTP responses by class of status.");
    for (std::size_t i = 0; i != totals.responses.size(); ++i)
        out.sample("cohort_http_responses_total", "{class=\"" + std::to_string(i + 1) + "xx\"}", totals.responses[i]);
    for (const auto& count : totals.counts)
        out.add(count.name, count.name.ends_with("_total") ? "counter" : "gauge", "", count.value);
    return std::move(out).text();
}

COHORT_LAZY COHORT_DECL Task<http::Response> answer_liveness() { co_return http::text("alive\n"); }

COHORT_LAZY COHORT_DECL Task<http::Response> answer_readiness(bool stopping) {
    if (!stopping) co_return http::text("ready\n");
    http::Response leaving = http::text("leaving\n");
    leaving.status(503);
    co_return leaving;
}

COHORT_LAZY COHORT_DECL Task<http::Response> answer_metrics(Totals totals) {
    http::Response response = http::text(expose(totals));
    response.default_type("text/plain; version=0.0.4; charset=utf-8");
    co_return response;
}

} // namespace cohort::monitoring::detail
