// SPDX-License-Identifier: MIT
// The bodies of connection_count.hpp (layer 3).
#pragma once

#include <cohort/detail/control/connection_count.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL CountedConnection::CountedConnection(ConnectionCount& connection_count) noexcept
    : connections_(&connection_count) {}

COHORT_DECL CountedConnection::~CountedConnection() {
    if (connections_ != nullptr) connections_->leave();
}

COHORT_DECL void CountedConnection::count_response(int status) noexcept {
    if (connections_ != nullptr) connections_->count_response(status);
}

COHORT_DECL OngoingRequest CountedConnection::begin_request() noexcept {
    return connections_ == nullptr ? OngoingRequest{} : connections_->begin_request();
}

} // namespace cohort::detail
