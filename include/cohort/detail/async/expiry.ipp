// SPDX-License-Identifier: MIT
// The bodies of expiry.hpp (layer 3).
#pragma once

#include <cohort/detail/async/expiry.hpp>

#include <cohort/detail/config.hpp>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

namespace cohort::detail {

COHORT_DECL Task<> until_expired(asio::steady_timer& timer, std::error_code& error) {
    return timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
}

COHORT_DECL Task<> until_expired(asio::steady_timer& timer) {
    std::error_code error;
    co_await until_expired(timer, error);
    if (error) throw std::system_error(error);
}

} // namespace cohort::detail
