// SPDX-License-Identifier: MIT
// The body of settings.hpp (layer 1).
#pragma once

#include <cohort/detail/policy/settings.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL void apply(const Settings& settings, Options& options) {
    const auto change = [](auto& value, const auto& to) {
        if (to) value = *to;
    };
    change(options.grace, settings.grace);
    change(options.boot_timeout, settings.boot_timeout);
    change(options.reload_at_once, settings.reload_at_once);
    change(options.connections_per_worker, settings.connections_per_worker);
    change(options.calls_per_worker, settings.calls_per_worker);
    change(options.queued_calls, settings.queued_calls);
    change(options.backoff, settings.backoff);
    change(options.recycle, settings.recycle);
    change(options.log_level, settings.log_level);
}

} // namespace cohort::detail
