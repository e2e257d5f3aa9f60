// SPDX-License-Identifier: MIT
// The bodies of exclusive_intake.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/exclusive_intake.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/listen_queue.hpp>

#include <cerrno>
#include <vector>

namespace cohort::detail {

COHORT_DECL void ExclusiveIntake::stop(bool) {
    if (!stopping()) take_the_rest();
    file_.remove();
    AcceptingIntake::stop(false);
}

COHORT_DECL void ExclusiveIntake::take_the_rest() {
    std::vector<TransferredConnection> rest;
    for (std::size_t left = most_in_queue(listener()); left > 0; --left) {
        UniqueFd connection = accept_next();
        if (connection)
            rest.emplace_back(std::move(connection));
        else if (errno != EAGAIN || !has_waiting(listener()))
            break;
    }
    const auto count = static_cast<std::uint32_t>(rest.size());
    deliver(0, count, std::move(rest));
}

} // namespace cohort::detail
