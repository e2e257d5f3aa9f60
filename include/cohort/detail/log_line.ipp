// SPDX-License-Identifier: MIT
// The body of log_line.hpp (layer 2).
#pragma once

#include <cohort/detail/log_line.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/line_log.hpp>

#include <string>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL void log_line(LogLevel level, std::string_view text) noexcept {
    if (level > log_level) return;
    if (line_sink != nullptr && line_sink->log(text)) return;
    static LineLog standard_error(STDERR_FILENO);
    try {
        standard_error.write(std::string("cohort: ").append(text));
    } catch (...) { // There is no memory for it.
    }
}

} // namespace cohort::detail
