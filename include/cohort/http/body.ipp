// SPDX-License-Identifier: MIT
// The bodies of body.hpp (layer 1).
#pragma once

#include <cohort/http/body.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::http::detail {

COHORT_DECL Task<std::optional<std::string_view>> no_chunk() { co_return std::nullopt; }

} // namespace cohort::http::detail
