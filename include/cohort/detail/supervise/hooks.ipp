// SPDX-License-Identifier: MIT
// The bodies of hooks.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/hooks.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/error.hpp>

#include <exception>
#include <system_error>

namespace cohort::detail {

COHORT_DECL void call_before_fork(const Hooks& hooks, unsigned slot) {
    if (!hooks.before_fork) return;
    try {
        hooks.before_fork(slot);
    } catch (const std::system_error&) {
        throw;
    } catch (...) {
        throw std::system_error(make_error_code(Errc::setup_failed), exception_text());
    }
}

COHORT_DECL void call_on_exit(const Hooks& hooks, const Event& event) {
    if (!hooks.on_exit) return;
    try {
        hooks.on_exit(event);
    } catch (...) {
        log_line(LogLevel::error, "on_exit: " + exception_text());
    }
}

} // namespace cohort::detail
