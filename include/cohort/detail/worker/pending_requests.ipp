// SPDX-License-Identifier: MIT
// The bodies of pending_requests.hpp (layer 3).
#pragma once

#include <cohort/detail/worker/pending_requests.hpp>

#include <cohort/detail/config.hpp>

#include <system_error>

namespace cohort::detail {

COHORT_DECL Task<> PendingRequestsBase::RequestBase::wait() {
    while (!answered_ && !all_.link_->ended()) co_await all_.changed_.wait();
    if (!answered_) throw std::system_error(make_error_code(Errc::closed));
}

COHORT_DECL PendingRequestsBase::RequestBase* PendingRequestsBase::find(std::uint32_t number) const noexcept {
    for (auto* const request : open_)
        if (request->number_ == number) return request;
    return nullptr;
}

} // namespace cohort::detail
