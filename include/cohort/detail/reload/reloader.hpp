// SPDX-License-Identifier: MIT
// Reloader: carries a Rollout out (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/policy/rollout.hpp>
#include <cohort/options.hpp>
#include <cohort/task.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace cohort::detail {

/// One rollout at a time. It is told what becomes of workers, and tells what is to be done with them.
class Reloader {
public:
    using Duration = Rollout::Clock::duration;
    using ListSlots = std::function<std::vector<unsigned>()>;

    struct Actions {
        std::function<WorkerId(unsigned slot)> start;      ///< beside the worker that the slot has; 0: not any more
        std::function<void(WorkerId successor)> take_over; ///< its predecessor may leave
        std::function<void(WorkerId successor)> end;       ///< it will not be used
        std::function<void(WorkerId successor)> reject;    ///< it has begun to serve, and is not to
    };

    Reloader(const asio::any_io_executor& executor, Actions actions)
        : actions_(std::move(actions)), progress_(executor), deadline_(executor) {}

    /// Replaces the workers of all these slots, which are asked for when it begins: a replacement under way ends first.
    /// Errc::reloading: another reload is under way.
    Task<ReloadReport> reload(ListSlots slots, const Options& options);
    /// The worker of one slot. Errc::reloading: anything else is under way.
    Task<ReloadReport> replace(unsigned slot, Duration boot_timeout);

    bool is_under_way() const noexcept { return rollout_.has_value(); }
    void on_ready(WorkerId worker) {
        if (!rollout_) return;
        rollout_->on_ready(worker, Rollout::Clock::now());
        hand_over();
        progress_.notify_all();
    }
    void on_exit(WorkerId worker, const ExitStatus& status) {
        if (!rollout_) return;
        rollout_->on_exit(worker, status);
        progress_.notify_all();
    }
    /// Its slot is not wanted any more.
    void forget(WorkerId successor) {
        if (!rollout_) return;
        rollout_->forget(successor);
        progress_.notify_all();
    }
    /// Ends what is under way.
    void interrupt(std::error_code error) {
        if (rollout_) rollout_->fail(error);
        progress_.notify_all();
    }
    /// Ends what is under way, and all that is to come.
    void fail(std::error_code error) {
        closed_ = error;
        if (rollout_) rollout_->fail(error);
        progress_.notify_all();
    }

private:
    /// Held by the one reload.
    class Turn {
    public:
        explicit Turn(std::shared_ptr<bool> taken) : taken_(std::move(taken)) { *taken_ = true; }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn() { *taken_ = false; }

    private:
        std::shared_ptr<bool> taken_; // whoever holds it may outlive the Reloader
    };

    Task<ReloadReport> carry_out(Rollout rollout);
    void hand_over() {
        for (const WorkerId successor : rollout_->take_accepted()) actions_.take_over(successor);
    }
    void start_successors();
    void judge();
    Task<> wait();
    ReloadReport finish();

    Actions actions_;
    Notifier progress_;
    asio::steady_timer deadline_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::shared_ptr<bool> reloading_ = std::make_shared<bool>(false);
    std::optional<Rollout> rollout_;
    std::error_code closed_;
    Canary canary_;
};

inline Task<ReloadReport> Reloader::reload(ListSlots slots, const Options& options) {
    ReloadReport report;
    report.error = Errc::reloading;
    if (*reloading_) co_return report;
    const Turn turn(reloading_);
    while (rollout_ && !closed_) co_await progress_.wait();
    report.error = closed_;
    if (closed_) co_return report;
    canary_ = options.canary;
    Rollout rollout(slots(),
                    {options.reload_at_once, options.boot_timeout, options.canary.workers, options.canary.soak});
    report = co_await carry_out(std::move(rollout));
    co_return report;
}

inline Task<ReloadReport> Reloader::replace(unsigned slot, Duration boot_timeout) {
    ReloadReport report;
    report.error = closed_ ? closed_ : Errc::reloading;
    if (closed_ || rollout_ || *reloading_) co_return report;
    const std::vector<unsigned> slots(1, slot);
    Rollout rollout(slots, {.boot_timeout = boot_timeout});
    report = co_await carry_out(std::move(rollout));
    co_return report;
}

inline Task<ReloadReport> Reloader::carry_out(Rollout rollout) {
    rollout_.emplace(std::move(rollout));
    try {
        for (start_successors(); !rollout_->is_over(); start_successors()) co_await wait();
    } catch (...) {
        rollout_->fail(asio::error::operation_aborted);
        finish();
        throw;
    }
    co_return finish();
}

inline void Reloader::start_successors() {
    while (const auto slot = rollout_->next_slot()) {
        try {
            const WorkerId successor = actions_.start(*slot);
            if (successor != 0)
                rollout_->on_started(successor, Rollout::Clock::now());
            else
                rollout_->skip();
        } catch (const std::system_error& error) {
            rollout_->fail(error.code());
        }
    }
}

/// While the canaries are on trial.
inline void Reloader::judge() {
    if (!rollout_->is_on_trial() || !canary_.healthy) return;
    bool healthy = false;
    try {
        healthy = canary_.healthy();
    } catch (const std::exception& error) {
        std::cerr << "cohort: canary: " << error.what() << std::endl;
    }
    if (!healthy) rollout_->fail(Errc::canary_failed);
}

inline Task<> Reloader::wait() {
    const bool asks = rollout_->is_on_trial() && canary_.healthy;
    const auto next_question = asks ? Rollout::Clock::now() + canary_.interval : Rollout::Clock::time_point::max();
    deadline_.expires_at(std::min(rollout_->deadline(), next_question));
    deadline_.async_wait([this, alive = std::weak_ptr(alive_)](std::error_code error) {
        if (!error && !alive.expired()) progress_.notify_all();
    });
    co_await progress_.wait();
    judge();
    rollout_->on_time(Rollout::Clock::now());
    hand_over();
}

inline ReloadReport Reloader::finish() {
    deadline_.cancel();
    const ReloadReport report = rollout_->report();
    for (const WorkerId successor : rollout_->unwanted()) actions_.end(successor);
    for (const WorkerId successor : rollout_->rejected()) actions_.reject(successor);
    rollout_.reset();
    progress_.notify_all();
    return report;
}

} // namespace cohort::detail
