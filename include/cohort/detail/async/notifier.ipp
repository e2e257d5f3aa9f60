// SPDX-License-Identifier: MIT
// The bodies of notifier.hpp (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/error.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL void Notifier::complete(Waiters::iterator position, std::error_code error, bool now) {
    const auto waiter = std::move(*position);
    waiters_.erase(position);
    waiter->resume(executor_, error, now);
}

COHORT_DECL void throw_if_cancelled(const asio::cancellation_state& state) {
    if (state.cancelled() != asio::cancellation_type::none)
        throw std::system_error(asio::error::make_error_code(asio::error::operation_aborted));
}

} // namespace cohort::detail
