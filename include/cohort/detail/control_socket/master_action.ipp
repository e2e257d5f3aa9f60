// SPDX-License-Identifier: MIT
// The bodies of master_action.hpp (layer 4).
#pragma once

#include <cohort/detail/control_socket/master_action.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL Task<std::vector<std::byte>> given(std::vector<std::byte> answer) { co_return answer; }

} // namespace cohort::detail
