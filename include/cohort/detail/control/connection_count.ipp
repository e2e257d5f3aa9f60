// SPDX-License-Identifier: MIT
// The bodies of counted_connection.hpp and connection_count.hpp (layer 3).
#pragma once

#include <cohort/detail/control/connection_count.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/control/counted_connection.hpp>
#include <cohort/detail/control/shared_page.hpp>

#include <atomic>

namespace cohort::detail {

COHORT_DECL OngoingRequest::OngoingRequest(WorkerCell& cell) noexcept : cell_(&cell) {
    cell.begun.fetch_add(1, std::memory_order_relaxed);
}

COHORT_DECL void OngoingRequest::end() noexcept {
    cell_->ended.fetch_add(1, std::memory_order_release); // after `begun`
}

COHORT_DECL void CountedConnection::end() noexcept { connections_->leave(); }

COHORT_DECL void CountedConnection::count_response(int status) noexcept {
    if (connections_ != nullptr) connections_->count_response(status);
}

COHORT_DECL OngoingRequest CountedConnection::begin_request() noexcept {
    return connections_ == nullptr ? OngoingRequest{} : connections_->begin_request();
}

} // namespace cohort::detail
