// SPDX-License-Identifier: MIT
// The bodies of leadership_client.hpp (layer 3).
#pragma once

#include <cohort/detail/worker/leadership_client.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>

namespace cohort::detail {

COHORT_LAZY COHORT_DECL Task<Leadership> LeadershipClient::lead(std::string role) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    if (role.size() > longest_role) throw std::system_error(make_error_code(Errc::message_too_large), "role");
    PendingRequests<Elected>::Request request(requests_);
    // However the wait ends, the master is told.
    Leadership leadership(role, [link = link_, number = request.number()] { link->send(Resign{number}); });
    link_->send(Campaign{request.number(), role});
    co_await request.wait();
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    if (const auto error = error_of(request.answer())) throw std::system_error(error, "role " + printable(role));
    co_return leadership;
}

} // namespace cohort::detail
