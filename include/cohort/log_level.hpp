// SPDX-License-Identifier: MIT
// How urgent a line is that cohort itself says (layer 0).
#pragma once

#include <cstdint>

namespace cohort {

/// What cohort itself says on standard error, or in the log: lines of Options::log_level and of those above it.
/// Workers' output is not concerned.
enum class LogLevel : std::uint8_t {
    error,   ///< something is lost or not done: a slot is given up, a handler has thrown, lines of the log are missing
    warning, ///< something is wrong, and cohort sees to it: a worker has crashed, is stuck, may not listen
    info,    ///< something is done: a reload, an upgrade
};

} // namespace cohort
