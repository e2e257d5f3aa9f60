// SPDX-License-Identifier: MIT
// The bodies of steering_actions.hpp (layer 4).
#pragma once

#include <cohort/detail/control_socket/steering_actions.hpp>

#include <cohort/control/messages.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control_socket/master_action.hpp>
#include <cohort/detail/supervise/supervisor.hpp>

namespace cohort::detail {

/// What was begun goes on when the one who asked for it has gone.
COHORT_DECL auto regardless_of_the_caller() {
    return asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
}

COHORT_DECL control::Outcome to_outcome(const ReloadReport& report) {
    return {report.replaced, control::Failure::of(report.error), report.failed, report.status};
}

COHORT_DECL Task<control::Outcome> reload(Supervisor& supervisor, control::Nothing) {
    co_await regardless_of_the_caller();
    const ReloadReport report = co_await supervisor.reload();
    co_return to_outcome(report);
}

COHORT_DECL Task<control::Outcome> upgrade(Supervisor& supervisor, control::Nothing) {
    co_await regardless_of_the_caller();
    const ReloadReport report = co_await supervisor.upgrade();
    co_return to_outcome(report);
}

COHORT_DECL Task<control::Outcome> restart(Supervisor& supervisor, control::OfWorker which) {
    co_await regardless_of_the_caller();
    const ReloadReport report = co_await supervisor.restart(which.worker);
    co_return to_outcome(report);
}

COHORT_DECL Task<control::Nothing> stop(Supervisor& supervisor, control::Nothing) {
    co_await regardless_of_the_caller();
    // Of a master that has a successor, which serves on: that one can be asked.
    if (supervisor.forward_signal(0)) throw std::system_error(make_error_code(Errc::stopping));
    co_await supervisor.stop();
    co_return control::Nothing{};
}

COHORT_DECL control::Nothing scale(Supervisor& supervisor, control::Scale wanted) {
    supervisor.slot_manager().scale(wanted.workers);
    return control::Nothing{};
}

COHORT_DECL control::Nothing change_settings(Supervisor& supervisor, Settings settings) {
    supervisor.set(settings);
    return control::Nothing{};
}

COHORT_DECL control::Nothing send_signal_to(Supervisor& supervisor, control::Signal signal) {
    supervisor.kill(signal.worker, signal.number);
    return control::Nothing{};
}

COHORT_DECL control::Nothing disconnect(Supervisor& supervisor, control::OfWorker which) {
    supervisor.disconnect(which.worker);
    return control::Nothing{};
}

COHORT_DECL void add_steering_actions(ControlPlane& control, Supervisor& supervisor) {
    add_action(control, supervisor, "reload", &reload);
    add_action(control, supervisor, "upgrade", &upgrade);
    add_action(control, supervisor, "restart", &restart);
    add_action(control, supervisor, "stop", &stop);
    add_action(control, supervisor, "scale", &scale);
    add_action(control, supervisor, "set", &change_settings);
    add_action(control, supervisor, "signal", &send_signal_to);
    add_action(control, supervisor, "disconnect", &disconnect);
}

} // namespace cohort::detail
