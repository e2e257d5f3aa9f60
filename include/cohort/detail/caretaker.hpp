// SPDX-License-Identifier: MIT
// Caretaker: looks after the workers that live, and has those ended or replaced that need it (layer 4).
#pragma once

#include <cohort/detail/attended_time.hpp>
#include <cohort/detail/probing.hpp>
#include <cohort/detail/pulse.hpp>
#include <cohort/detail/recycling.hpp>
#include <cohort/detail/resident_memory.hpp>
#include <cohort/detail/slots.hpp>
#include <cohort/reload.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string_view>

namespace cohort::detail {

/// One timer for all workers, running while there is one.
class Caretaker {
public:
    /// Gives the slot a new worker, successor first.
    using Replace = std::function<Task<ReloadReport>(unsigned slot)>;

    Caretaker(asio::io_context& context, const Options& options, SharedPage& page, const WorkerRecords& records,
              const Slots& slots, Replace replace);
    Caretaker(const Caretaker&) = delete;
    Caretaker& operator=(const Caretaker&) = delete;

    /// A worker has been started.
    void watch();
    void on_exit(WorkerId worker);

private:
    using Duration = AttendedTime::Clock::duration;

    /// What it keeps of one worker. Shared with what is under way for it.
    struct Care {
        Care(const Options& options, double chance)
            : pulse(options.liveness),
              recycling(options.recycle, chance),
              probing(options.probe),
              wait(options.backoff) {}

        Pulse pulse;
        Recycling recycling;
        Probing probing;
        ReplacementWait wait;
        Duration age{0};       // since it was started; once it is ready, since then
        Duration unchecked{0}; // since Recycling was asked
        Duration ending{0};    // since its last beat
        bool was_ready = false;
        bool is_due = false;
        bool replacing = false;
        bool told = false; // that it is unhealthy
        asio::cancellation_signal probe_cancelled;
    };
    using CarePtr = std::shared_ptr<Care>;

    static std::chrono::milliseconds period(const Options& options);
    void look();
    void look_later();
    const CarePtr& care_of(WorkerId worker);
    void look_after(WorkerRecord& record, const CarePtr& care, Duration elapsed);
    void feel_pulse(WorkerRecord& record, Care& care, Duration elapsed);
    void await_readiness(WorkerRecord& record, const Care& care);
    void probe(const WorkerRecord& record, const CarePtr& care, Duration elapsed);
    void consider_replacing(const WorkerRecord& record, const CarePtr& care, Duration elapsed);
    void check_recycling(const WorkerRecord& record, Care& care, Duration elapsed);
    /// Somebody who was replaced there is still leaving: no third one beside the two.
    bool has_leaving(unsigned slot) const {
        return std::ranges::any_of(records_, [slot](const auto& each) {
            return each.second->slot == slot && each.second->state == WorkerState::draining;
        });
    }
    static void say(const WorkerRecord& record, std::string_view what) {
        std::cerr << "cohort: worker " << record.id << ": " << what << std::endl;
    }

    asio::io_context& context_;
    const Options& options_;
    SharedPage& page_;
    const WorkerRecords& records_;
    const Slots& slots_;
    Replace replace_;
    std::chrono::milliseconds period_;
    asio::steady_timer timer_;
    AttendedTime time_;
    bool watching_ = false;
    std::map<WorkerId, CarePtr> cares_;
    std::minstd_rand random_{std::random_device{}()};
    std::uniform_real_distribution<> chance_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

inline Caretaker::Caretaker(asio::io_context& context, const Options& options, SharedPage& page,
                            const WorkerRecords& records, const Slots& slots, Replace replace)
    : context_(context),
      options_(options),
      page_(page),
      records_(records),
      slots_(slots),
      replace_(std::move(replace)),
      period_(period(options)),
      timer_(context),
      time_(2 * period_) {}

/// Often enough that nothing is found much later than the shortest of the times that matter.
inline std::chrono::milliseconds Caretaker::period(const Options& options) {
    auto shortest = options.boot_timeout;
    const auto& [interval, slow_after, timeout, kill_after] = options.liveness;
    if (interval.count() > 0) shortest = std::min({shortest, interval, slow_after, timeout, kill_after});
    if (Recycling::is_wanted(options.recycle)) shortest = std::min(shortest, options.recycle.interval);
    if (options.probe.check) shortest = std::min({shortest, options.probe.interval, options.probe.timeout});
    return std::clamp(shortest / 2, std::chrono::milliseconds(5), std::chrono::milliseconds(1'000));
}

inline void Caretaker::watch() {
    if (watching_) return;
    watching_ = true;
    time_.start(AttendedTime::Clock::now());
    look_later();
}

inline void Caretaker::on_exit(WorkerId worker) {
    if (const auto found = cares_.extract(worker))
        found.mapped()->probe_cancelled.emit(asio::cancellation_type::terminal);
    if (!records_.empty()) return;
    timer_.cancel();
    watching_ = false;
}

inline void Caretaker::look() {
    const Duration elapsed = time_.look(AttendedTime::Clock::now());
    for (const auto& [id, record] : WorkerRecords(records_)) {
        const bool is_new = !cares_.contains(id);
        look_after(*record, care_of(id), is_new ? Duration{0} : elapsed);
    }
    look_later();
}

inline void Caretaker::look_later() {
    timer_.expires_after(period_);
    timer_.async_wait([this, alive = std::weak_ptr(alive_)](std::error_code error) {
        if (!error && !alive.expired() && watching_) look();
    });
}

inline const Caretaker::CarePtr& Caretaker::care_of(WorkerId worker) {
    CarePtr& care = cares_[worker];
    if (!care) care = std::make_shared<Care>(options_, chance_(random_));
    return care;
}

inline void Caretaker::look_after(WorkerRecord& record, const CarePtr& care, Duration elapsed) {
    care->age += elapsed;
    if (record.state >= WorkerState::online && options_.liveness.interval.count() > 0)
        feel_pulse(record, *care, elapsed);
    if (record.state == WorkerState::draining || !slots_.is_current(record)) return; // others limit its time
    if (!record.ready) return await_readiness(record, *care);
    if (!std::exchange(care->was_ready, true)) care->age = care->age.zero();
    if (options_.probe.check) probe(record, care, elapsed);
    consider_replacing(record, care, elapsed);
}

inline void Caretaker::feel_pulse(WorkerRecord& record, Care& care, Duration elapsed) {
    const auto beats = page_.worker(record.cell).heartbeat.load(std::memory_order_relaxed);
    if (beats == WorkerCell::last_beat && !reached(care.ending += elapsed, options_.grace)) return;
    switch (care.pulse.look(beats, elapsed)) {
        case Pulse::Finding::nothing: break;
        case Pulse::Finding::slow:
            record.slow = true;
            say(record, "slow: its event loop does not turn");
            break;
        case Pulse::Finding::recovered: record.slow = false; break;
        case Pulse::Finding::stuck:
            say(record, "stuck: its event loop does not turn, it is aborted");
            record.error = Errc::unresponsive;
            send_signal(record.pidfd.get(), SIGABRT);
            send_signal(record.pidfd.get(), SIGCONT); // a stopped process takes no other signal before this one
            break;
        case Pulse::Finding::dead: send_signal(record.pidfd.get(), SIGKILL); break;
    }
}

inline void Caretaker::await_readiness(WorkerRecord& record, const Care& care) {
    if (!reached(care.age, options_.boot_timeout) || record.error) return;
    say(record, "not ready in time, it is killed");
    record.error = Errc::not_ready;
    send_signal(record.pidfd.get(), SIGKILL);
}

inline void Caretaker::probe(const WorkerRecord& record, const CarePtr& care, Duration elapsed) {
    const auto step = care->probing.look(elapsed);
    if (step == Probing::Step::cancel) care->probe_cancelled.emit(asio::cancellation_type::terminal);
    if (step != Probing::Step::begin) return;
    auto on_result = [care](const std::exception_ptr& failure, bool healthy) {
        care->probing.on_result(!failure && healthy);
    };
    try {
        asio::co_spawn(context_, options_.probe.check(record.info()),
                       asio::bind_cancellation_slot(care->probe_cancelled.slot(), on_result));
    } catch (const std::exception&) { // it is no coroutine, and threw when it was called
        care->probing.on_result(false);
    }
}

inline void Caretaker::consider_replacing(const WorkerRecord& record, const CarePtr& care, Duration elapsed) {
    check_recycling(record, *care, elapsed);
    const bool may_begin = care->wait.look(elapsed) && !care->replacing && !has_leaving(record.slot);
    if (!may_begin || (!care->is_due && !care->probing.is_unhealthy())) return;
    if (care->probing.is_unhealthy() && !std::exchange(care->told, true))
        say(record, "its probes fail, it is to be replaced");
    care->replacing = true;
    auto on_result = [care, id = record.id](const std::exception_ptr& failure, const ReloadReport& report) {
        care->replacing = false;
        const bool later = report.error == Errc::reloading || report.error == Errc::stopping;
        if (!failure && (!report.error || later)) return;
        care->wait.on_failure();
        std::cerr << "cohort: worker " << id << ": not replaced: " << report.error.message() << std::endl;
    };
    asio::co_spawn(context_, replace_(record.slot), std::move(on_result));
}

inline void Caretaker::check_recycling(const WorkerRecord& record, Care& care, Duration elapsed) {
    care.unchecked += elapsed;
    if (!Recycling::is_wanted(options_.recycle) || !reached(care.unchecked, options_.recycle.interval)) return;
    care.unchecked = care.unchecked.zero();
    Recycling::Seen seen;
    seen.requests = page_.worker(record.cell).begun.load(std::memory_order_relaxed);
    seen.age = care.age;
    if (options_.recycle.memory > 0) seen.memory = resident_memory(record.pid).value_or(0);
    care.is_due = care.recycling.is_due(seen);
}

} // namespace cohort::detail
