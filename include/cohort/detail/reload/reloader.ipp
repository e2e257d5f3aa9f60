// SPDX-License-Identifier: MIT
// The bodies of reloader.hpp (layer 4).
#pragma once

#include <cohort/detail/reload/reloader.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>

#include <algorithm>

namespace cohort::detail {

COHORT_DECL void Reloader::on_ready(WorkerId worker) {
    if (!rollout_) return;
    rollout_->on_ready(worker, Rollout::Clock::now());
    hand_over();
    progress_.notify_all();
}

COHORT_DECL void Reloader::on_exit(WorkerId worker, const ExitStatus& status) {
    if (!rollout_) return;
    rollout_->on_exit(worker, status);
    progress_.notify_all();
}

COHORT_DECL void Reloader::forget(WorkerId successor) {
    if (!rollout_) return;
    rollout_->forget(successor);
    progress_.notify_all();
}

COHORT_DECL void Reloader::fail(std::error_code error) {
    closed_ = error;
    if (rollout_) rollout_->fail(error);
    progress_.notify_all();
}

COHORT_DECL Task<> Reloader::until_idle() {
    const std::weak_ptr<bool> alive = alive_;
    while (!alive.expired() && rollout_ && !closed_) co_await progress_.wait();
}

COHORT_DECL Task<ReloadReport> Reloader::reload(const Options& options) {
    ReloadReport report;
    report.error = Errc::stopping;
    const Turn turn(reloading_);
    const std::weak_ptr<bool> alive = alive_;
    co_await until_idle();
    if (alive.expired()) co_return report;
    report.error = closed_;
    if (closed_) co_return report;
    canary_ = options.canary;
    Rollout rollout(workers_.replaceable(),
                    {options.reload_at_once, options.boot_timeout, options.canary.workers, options.canary.soak});
    report = co_await carry_out(std::move(rollout));
    co_return report;
}

COHORT_DECL Task<ReloadReport> Reloader::replace(unsigned slot, Timeout boot_timeout) {
    ReloadReport report;
    report.error = closed_ ? closed_ : Errc::reloading;
    if (closed_ || rollout_ || *reloading_) co_return report;
    const std::vector<unsigned> slots(1, slot);
    Rollout rollout(slots, {.boot_timeout = boot_timeout});
    report = co_await carry_out(std::move(rollout));
    co_return report;
}

COHORT_DECL Task<ReloadReport> Reloader::carry_out(Rollout rollout) {
    const std::weak_ptr<bool> alive = alive_;
    ReloadReport gone;
    gone.error = Errc::stopping;
    rollout_.emplace(std::move(rollout));
    try {
        for (;;) {
            co_await start_successors();
            if (alive.expired()) co_return gone;
            if (rollout_->is_over()) break;
            set_deadline();
            co_await progress_.wait();
            if (alive.expired()) co_return gone;
            go_on();
        }
    } catch (...) {
        if (alive.expired()) throw;
        rollout_->fail(asio::error::operation_aborted);
        finish();
        throw;
    }
    co_return finish();
}

COHORT_DECL Task<> Reloader::start_successors() {
    const std::weak_ptr<bool> alive = alive_;
    while (const auto slot = rollout_->next_slot()) {
        if (workers_.make_room(*slot)) emptied_ = slot;
        while (emptied_ && !rollout_->is_over() && workers_.has_worker(*slot)) {
            co_await progress_.wait();
            if (alive.expired()) co_return;
        }
        if (!rollout_->is_over()) start_successor(*slot);
        leave_emptied();
    }
}

COHORT_DECL void Reloader::start_successor(unsigned slot) {
    try {
        const WorkerId successor = workers_.start_successor(slot);
        if (successor != 0)
            rollout_->on_started(successor, Rollout::Clock::now());
        else
            rollout_->skip();
    } catch (const std::system_error& error) {
        rollout_->fail(error.code());
    }
}

COHORT_DECL void Reloader::leave_emptied() {
    if (const auto slot = std::exchange(emptied_, std::nullopt)) workers_.leave_alone(*slot);
}

/// While the canaries are on trial.
COHORT_DECL void Reloader::judge() {
    if (!rollout_->is_on_trial() || !canary_.healthy) return;
    bool healthy = false;
    try {
        healthy = canary_.healthy();
    } catch (...) {
        log_line(LogLevel::warning, "canary: " + exception_text());
    }
    if (!healthy) rollout_->fail(Errc::canary_failed);
}

COHORT_DECL void Reloader::set_deadline() {
    const bool asks = rollout_->is_on_trial() && canary_.healthy;
    const auto next_question = asks ? Timeout(canary_.interval).deadline() : Rollout::Clock::time_point::max();
    deadline_.expire_at(std::min(rollout_->deadline(), next_question), action<&Notifier::notify_all>(&progress_));
}

COHORT_DECL void Reloader::go_on() {
    judge();
    rollout_->on_time(Rollout::Clock::now());
    hand_over();
}

COHORT_DECL ReloadReport Reloader::finish() {
    deadline_.cancel();
    leave_emptied();
    const ReloadReport report = rollout_->report();
    for (const WorkerId successor : rollout_->unwanted()) workers_.end(successor);
    for (const WorkerId successor : rollout_->rejected()) workers_.reject(successor);
    rollout_.reset();
    progress_.notify_all();
    return report;
}

} // namespace cohort::detail
