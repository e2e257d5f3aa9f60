// SPDX-License-Identifier: MIT
// The bodies of health_monitor.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/health_monitor.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/supervise/ongoing_requests.hpp>
#include <cohort/detail/supervise/resident_memory.hpp>
#include <cohort/detail/system/debugger.hpp>

#include <algorithm>
#include <exception>
#include <string>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL HealthMonitor::Health::Health(const Options& options, double chance)
    : pulse(options.liveness), recycling(options.recycle, chance), probing(options.probe), wait(options.backoff) {}

COHORT_DECL bool HealthMonitor::has_leaving(unsigned slot) const {
    return std::ranges::any_of(records_, [slot](const auto& each) {
        return each.second->slot == slot && each.second->state == WorkerState::draining;
    });
}

COHORT_DECL void HealthMonitor::say(const WorkerRecord& record, std::string_view what) {
    log_line(LogLevel::warning, std::string("worker ").append(std::to_string(record.id)).append(": ").append(what));
}

COHORT_DECL HealthMonitor::HealthMonitor(const asio::any_io_executor& executor, const Options& options,
                                         SharedPage& page, const WorkerRecords& records, const Slots& slots,
                                         Owner& owner)
    : executor_(executor),
      options_(options),
      page_(page),
      records_(records),
      slots_(slots),
      owner_(owner),
      period_(period(options)),
      timer_(executor),
      time_(2 * period_) {}

/// Often enough that nothing is found much later than the shortest of the times that matter.
COHORT_DECL std::chrono::milliseconds HealthMonitor::period(const Options& options) {
    auto shortest = options.boot_timeout;
    const auto& [interval, slow_after, timeout, kill_after] = options.liveness;
    if (interval.count() > 0) shortest = std::min({shortest, interval, slow_after, timeout, kill_after});
    if (RecyclePolicy::is_wanted(options.recycle)) shortest = std::min(shortest, options.recycle.interval);
    if (options.probe.check) shortest = std::min({shortest, options.probe.interval, options.probe.timeout});
    return std::clamp(shortest / 2, std::chrono::milliseconds(5), std::chrono::milliseconds(1'000));
}

COHORT_DECL void HealthMonitor::watch() {
    if (watching_) return;
    watching_ = true;
    time_.start(ObservedTime::Clock::now());
    look_later();
}

COHORT_DECL void HealthMonitor::on_exit(WorkerId worker) {
    if (const auto found = health_.extract(worker))
        found.mapped()->probe_cancelled.emit(asio::cancellation_type::terminal);
    if (!records_.empty()) return;
    timer_.cancel();
    watching_ = false;
}

COHORT_DECL void HealthMonitor::set_recycling() {
    period_ = period(options_);
    for (const auto& [id, health] : health_) health->recycling = RecyclePolicy(options_.recycle, chance_(random_));
    if (watching_) look_later();
}

COHORT_DECL std::optional<HealthMonitor::Recycling> HealthMonitor::recycling_of(WorkerId worker) const {
    const auto found = health_.find(worker);
    if (found == health_.end()) return std::nullopt;
    return Recycling{found->second->recycling.limits(), found->second->age, found->second->is_due};
}

COHORT_DECL void HealthMonitor::note_figures() {
    const auto now = ObservedTime::Clock::now();
    if (now < next_figures_) return;
    next_figures_ = now + std::chrono::seconds(1);
    owner_.note_figures();
}

COHORT_DECL void HealthMonitor::look() {
    note_figures();
    const Duration elapsed = time_.look(ObservedTime::Clock::now());
    for (const auto& [id, record] : WorkerRecords(records_)) {
        const bool is_new = !health_.contains(id);
        check(*record, health_of(id), is_new ? Duration{0} : elapsed);
    }
    look_later();
}

COHORT_DECL void HealthMonitor::look_later() {
    timer_.expire_after(period_, action<&HealthMonitor::look_if_watching>(this));
}

COHORT_DECL void HealthMonitor::look_if_watching() {
    if (watching_) look();
}

COHORT_DECL const HealthMonitor::HealthPtr& HealthMonitor::health_of(WorkerId worker) {
    HealthPtr& health = health_[worker];
    if (!health) health = share<Health>(options_, chance_(random_));
    return health;
}

COHORT_DECL void HealthMonitor::check(WorkerRecord& record, const HealthPtr& health, Duration elapsed) {
    health->age += elapsed;
    if (record.state >= WorkerState::online && options_.liveness.interval.count() > 0 && !record.is_program)
        check_liveness(record, *health, elapsed);
    if (record.state == WorkerState::draining || !slots_.is_current(record)) return; // others limit its time
    if (!record.ready) return await_readiness(record, *health);
    if (!std::exchange(health->was_ready, true)) health->age = health->age.zero();
    if (options_.probe.check) probe(record, health, elapsed);
    consider_replacing(record, health, elapsed);
}

COHORT_DECL void HealthMonitor::check_liveness(WorkerRecord& record, Health& health, Duration elapsed) {
    const auto beats = page_.worker(record.cell).heartbeat.load(std::memory_order_relaxed);
    if (beats == WorkerCell::last_beat && !reached(health.ending += elapsed, options_.grace)) return;
    if (health.pulse.would_end(beats, elapsed) && is_debugged(record, health)) return health.pulse.excuse();
    switch (health.pulse.look(beats, elapsed)) {
        case LivenessPolicy::Finding::nothing: break;
        case LivenessPolicy::Finding::slow:
            record.slow = true;
            say(record, "slow: its event loop does not turn");
            break;
        case LivenessPolicy::Finding::recovered: record.slow = false; break;
        case LivenessPolicy::Finding::stuck:
            say(record, "stuck: its event loop does not turn, it is aborted");
            note_unanswered(record, page_);
            record.error = Errc::unresponsive;
            send_signal(record.pidfd.get(), SIGABRT);
            send_signal(record.pidfd.get(), SIGCONT); // a stopped process takes no other signal before this one
            break;
        case LivenessPolicy::Finding::dead: send_signal(record.pidfd.get(), SIGKILL); break;
    }
}

COHORT_DECL bool HealthMonitor::is_debugged(const WorkerRecord& record, Health& health) {
    pid_t debugger = debugger_of(record.pid);
    if (debugger == 0) debugger = debugger_of(::getpid());
    if (debugger == 0) return false;
    if (!std::exchange(health.told_of_debugger, true))
        say(record, "stands still, but is being debugged by process " + std::to_string(debugger) + ": not ended");
    return true;
}

COHORT_DECL void HealthMonitor::await_readiness(WorkerRecord& record, Health& health) {
    if (!reached(health.age, options_.boot_timeout) || record.error) return;
    if (is_debugged(record, health)) {
        health.age = health.age.zero();
        return;
    }
    say(record, "not ready in time, it is killed");
    record.error = Errc::not_ready;
    send_signal(record.pidfd.get(), SIGKILL);
}

COHORT_DECL Task<> HealthMonitor::run_probe(HealthPtr health, Task<bool> check) {
    bool healthy = false;
    try {
        healthy = co_await std::move(check);
    } catch (...) {
        if (health->failure.empty()) health->failure = exception_text();
    }
    health->probing.on_result(healthy);
}

COHORT_DECL Task<> HealthMonitor::run_replacement(HealthPtr health, WorkerId worker, Task<ReloadReport> replacement) {
    std::string failure;
    try {
        const ReloadReport report = co_await std::move(replacement);
        const bool later = report.error == Errc::reloading || report.error == Errc::stopping;
        if (report.error && !later) failure = report.error.message();
    } catch (...) {
        failure = exception_text();
    }
    health->replacing = false;
    if (failure.empty()) co_return;
    health->wait.on_failure();
    log_line(LogLevel::warning, "worker " + std::to_string(worker) + ": not replaced: " + failure);
}

COHORT_DECL void HealthMonitor::probe(const WorkerRecord& record, const HealthPtr& health, Duration elapsed) {
    const auto step = health->probing.look(elapsed);
    if (step == ProbePolicy::Step::cancel) {
        health->failure = "no answer in time";
        health->probe_cancelled.emit(asio::cancellation_type::terminal);
    }
    if (step != ProbePolicy::Step::begin) return;
    health->failure.clear();
    try {
        auto check = options_.probe.check(record.info());
        spawn(executor_, run_probe(health, std::move(check)), health->probe_cancelled.slot());
    } catch (...) { // it is no coroutine, and threw when it was called
        health->failure = exception_text();
        health->probing.on_result(false);
    }
}

COHORT_DECL void HealthMonitor::consider_replacing(const WorkerRecord& record, const HealthPtr& health,
                                                   Duration elapsed) {
    check_recycling(record, *health, elapsed);
    const bool may_begin = health->wait.look(elapsed) && !health->replacing && !has_leaving(record.slot);
    const bool is_due = health->is_due || record.to_be_replaced;
    if (!may_begin || (!is_due && !health->probing.is_unhealthy())) return;
    if (health->probing.is_unhealthy() && !std::exchange(health->told, true))
        say(record, "its probes fail" + (health->failure.empty() ? "" : " (" + health->failure + ")") +
                        ", it is to be replaced");
    health->replacing = true;
    spawn(executor_, run_replacement(health, record.id, owner_.replace(record.slot)));
}

COHORT_DECL void HealthMonitor::check_recycling(const WorkerRecord& record, Health& health, Duration elapsed) {
    health.unchecked += elapsed;
    if (!RecyclePolicy::is_wanted(options_.recycle) || !reached(health.unchecked, options_.recycle.interval)) return;
    health.unchecked = health.unchecked.zero();
    RecyclePolicy::Seen seen;
    seen.requests = page_.worker(record.cell).begun.load(std::memory_order_relaxed);
    seen.age = health.age;
    if (options_.recycle.memory > 0) seen.memory = resident_memory(record.pid).value_or(0);
    health.is_due = health.recycling.is_due(seen);
}

} // namespace cohort::detail
