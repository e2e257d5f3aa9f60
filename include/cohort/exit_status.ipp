// SPDX-License-Identifier: MIT
// The bodies of exit_status.hpp (layer 1).
#pragma once

#include <cohort/exit_status.hpp>

#include <cohort/detail/config.hpp>

#include <cstring>

namespace cohort {

COHORT_DECL std::string ExitStatus::describe() const {
    if (how_ == How::unknown) return "ended, nobody knows how";
    if (how_ == How::exited) return "exited with code " + std::to_string(value_);
    const char* name = sigabbrev_np(value_);
    std::string text = "killed by " + (name ? "SIG" + std::string(name) : "signal " + std::to_string(value_));
    return core_dumped_ ? text + " (core dumped)" : text;
}

} // namespace cohort
