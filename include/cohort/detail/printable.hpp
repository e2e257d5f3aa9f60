// SPDX-License-Identifier: MIT
// Text from elsewhere as it may be shown on a terminal (layer 0).
#pragma once

#include <cohort/detail/config.hpp>

#include <string>
#include <string_view>

namespace cohort::detail {

/// Control characters as \xNN, those of ISO 8859's upper half in UTF-8, too: a worker or a client cannot move the
/// cursor of whoever reads a log, nor begin a line in it. What else is no ASCII stays.
std::string printable(std::string_view text);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/printable.ipp>
#endif
