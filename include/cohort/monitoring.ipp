// SPDX-License-Identifier: MIT
// The bodies of monitoring.hpp (layer 5).
#pragma once

#include <cohort/monitoring.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::monitoring::detail {

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

} // namespace cohort::monitoring::detail
