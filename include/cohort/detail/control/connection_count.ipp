// SPDX-License-Identifier: MIT
// The bodies of counted_connection.hpp and connection_count.hpp (layer 3).
#pragma once

#include <cohort/detail/control/connection_count.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/control/counted_connection.hpp>
#include <cohort/detail/control/shared_page.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace cohort::detail {

COHORT_DECL OngoingRequest::OngoingRequest(WorkerCell& cell, RequestTable& requests, const RequestNote& note) noexcept
    : cell_(&cell), requests_(&requests), begun_(nanoseconds_now()) {
    cell.begun.fetch_add(1, std::memory_order_relaxed);
    place_ = requests.begin(note, begun_);
}

COHORT_DECL void OngoingRequest::end() noexcept {
    if (place_ != nullptr) requests_->end(*place_);
    if (begun_ != 0) cell_->count_latency(nanoseconds_now() - begun_);
    cell_->ended.fetch_add(1, std::memory_order_release); // after `begun`
}

COHORT_DECL void CountedConnection::end() noexcept { connections_->leave(); }

COHORT_DECL void CountedConnection::count_response(int status) noexcept {
    if (connections_ != nullptr) connections_->count_response(status);
}

COHORT_DECL OngoingRequest CountedConnection::begin_request(const RequestNote& note) noexcept {
    return connections_ == nullptr ? OngoingRequest{} : connections_->begin_request(note);
}

} // namespace cohort::detail
