// SPDX-License-Identifier: MIT
// Reloader: carries a Rollout out (layer 4).
#pragma once

#include <cohort/detail/notifier.hpp>
#include <cohort/detail/rollout.hpp>
#include <cohort/task.hpp>

#include <asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace cohort::detail {

/// One reload at a time. It is told what becomes of workers, and tells what is to be done with them.
class Reloader {
public:
    struct Actions {
        std::function<WorkerId(unsigned slot)> start;      ///< beside the worker that the slot has
        std::function<void(WorkerId successor)> take_over; ///< its predecessor may leave
        std::function<void(WorkerId successor)> end;       ///< it will not be used
    };

    Reloader(const asio::any_io_executor& executor, Actions actions)
        : actions_(std::move(actions)), progress_(executor), deadline_(executor) {}

    Task<ReloadReport> run(std::vector<unsigned> slots, unsigned at_once, Rollout::Clock::duration boot_timeout);

    bool is_under_way() const noexcept { return rollout_.has_value(); }
    void on_ready(WorkerId worker) {
        if (!rollout_ || !rollout_->on_ready(worker)) return;
        actions_.take_over(worker);
        progress_.notify_all();
    }
    void on_exit(WorkerId worker, const ExitStatus& status) {
        if (!rollout_) return;
        rollout_->on_exit(worker, status);
        progress_.notify_all();
    }
    void fail(std::error_code error) {
        if (!rollout_) return;
        rollout_->fail(error);
        progress_.notify_all();
    }

private:
    void start_successors();
    Task<> wait();
    ReloadReport finish();

    Actions actions_;
    Notifier progress_;
    asio::steady_timer deadline_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::optional<Rollout> rollout_;
};

inline Task<ReloadReport> Reloader::run(std::vector<unsigned> slots, unsigned at_once,
                                        Rollout::Clock::duration boot_timeout) {
    if (rollout_) {
        ReloadReport refused;
        refused.error = Errc::reloading;
        co_return refused;
    }
    rollout_.emplace(std::move(slots), at_once, boot_timeout);
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
            rollout_->on_started(successor, Rollout::Clock::now());
        } catch (const std::system_error& error) {
            rollout_->fail(error.code());
        }
    }
}

inline Task<> Reloader::wait() {
    deadline_.expires_at(rollout_->deadline());
    deadline_.async_wait([this, alive = std::weak_ptr(alive_)](std::error_code error) {
        if (!error && !alive.expired()) progress_.notify_all();
    });
    co_await progress_.wait();
    rollout_->on_time(Rollout::Clock::now());
}

inline ReloadReport Reloader::finish() {
    deadline_.cancel();
    const ReloadReport report = rollout_->report();
    for (const WorkerId successor : rollout_->unwanted()) actions_.end(successor);
    rollout_.reset();
    return report;
}

} // namespace cohort::detail
