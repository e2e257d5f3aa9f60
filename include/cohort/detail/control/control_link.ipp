// SPDX-License-Identifier: MIT
// The bodies of control_link.hpp (layer 3).
#pragma once

#include <cohort/detail/control/control_link.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL bool is_backpressure(int error) noexcept { return would_block(error) || is_kernel_limit(error); }

} // namespace cohort::detail
