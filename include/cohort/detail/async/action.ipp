// SPDX-License-Identifier: MIT
// The bodies of action.hpp (layer 3).
#pragma once

#include <cohort/detail/async/action.hpp>

#include <cohort/detail/config.hpp>

#include <asio/post.hpp>

namespace cohort::detail {

COHORT_DECL void post(const asio::any_io_executor& executor, Action action) { asio::post(executor, std::move(action)); }

} // namespace cohort::detail
