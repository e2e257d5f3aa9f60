// SPDX-License-Identifier: MIT
// Calling the user's hooks so that what they throw does no harm (layer 1).
#pragma once

#include <cohort/error.hpp>
#include <cohort/options.hpp>

#include <exception>
#include <iostream>
#include <system_error>

namespace cohort::detail {

/// Throws std::system_error only: those who start workers know what to do with that.
inline void call_before_fork(const Hooks& hooks, unsigned slot) {
    if (!hooks.before_fork) return;
    try {
        hooks.before_fork(slot);
    } catch (const std::system_error&) {
        throw;
    } catch (const std::exception& error) {
        throw std::system_error(make_error_code(Errc::setup_failed), error.what());
    }
}

inline void call_on_exit(const Hooks& hooks, const Event& event) {
    if (!hooks.on_exit) return;
    try {
        hooks.on_exit(event);
    } catch (const std::exception& error) {
        std::cerr << "cohort: on_exit: " << error.what() << std::endl;
    }
}

} // namespace cohort::detail
