// SPDX-License-Identifier: MIT
// The bodies of worker.hpp (layer 4).
#pragma once

#include <cohort/worker.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL Task<int> with_code_0(Task<> body) {
    co_await std::move(body);
    co_return 0;
}

} // namespace cohort::detail
