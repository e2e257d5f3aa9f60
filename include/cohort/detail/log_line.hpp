// SPDX-License-Identifier: MIT
// log_line: what cohort itself says on standard error (layer 2).
#pragma once

#include <string_view>

namespace cohort::detail {

/// "cohort: ", and the text. See LineLog: nobody waits for whoever reads there.
void log_line(std::string_view text) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/log_line.ipp>
#endif
