// SPDX-License-Identifier: MIT
// The bodies of told_changes.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/told_changes.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/printable.hpp>
#include <cohort/detail/supervise/supervisor.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <system_error>

namespace cohort::detail {

/// "4 workers were replaced in 1.2 s".
COHORT_DECL std::string describe(const ReloadReport& report, std::chrono::steady_clock::time_point begin) {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    char time[32];
    std::snprintf(time, sizeof time, " in %.1f s", taken.count());
    return std::to_string(report.replaced) + (report.replaced == 1 ? " worker was" : " workers were") + " replaced" +
           time;
}

/// That it ends because the cluster does is no error.
COHORT_DECL LogLevel level_of(const ReloadReport& report) {
    return report || report.error == Errc::stopping ? LogLevel::info : LogLevel::error;
}

COHORT_DECL Task<> reload_and_tell(Supervisor& supervisor) {
    const auto begin = std::chrono::steady_clock::now();
    const ReloadReport report = co_await supervisor.reload();
    if (report.error == Errc::stopping && supervisor.forward_signal(SIGHUP)) co_return;
    log_line(level_of(report), "reload: " + (report ? describe(report, begin) : report.error.message()));
}

COHORT_DECL Task<> upgrade_and_tell(Supervisor& supervisor) {
    const auto begin = std::chrono::steady_clock::now();
    const ReloadReport report = co_await supervisor.upgrade();
    if (report.error == Errc::stopping && supervisor.forward_signal(SIGUSR2)) co_return;
    std::string text = report ? describe(report, begin) : report.error.message();
    if (report) text += ", process " + std::to_string(supervisor.successor()) + " follows";
    log_line(level_of(report), "upgrade: " + text);
}

COHORT_DECL void scale_and_tell(Supervisor& supervisor, unsigned workers) {
    try {
        supervisor.slot_manager().scale(workers);
    } catch (const std::system_error& error) {
        log_line(LogLevel::error, std::string("scale: ") + printable(error.what()));
    }
}

} // namespace cohort::detail
