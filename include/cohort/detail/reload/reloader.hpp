// SPDX-License-Identifier: MIT
// Reloader: carries a Rollout out (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/policy/rollout.hpp>
#include <cohort/options.hpp>
#include <cohort/task.hpp>

#include <asio/steady_timer.hpp>

#include <functional>
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
    void on_ready(WorkerId worker);
    void on_exit(WorkerId worker, const ExitStatus& status);
    /// Its slot is not wanted any more.
    void forget(WorkerId successor);
    /// Ends what is under way.
    void interrupt(std::error_code error) {
        if (rollout_) rollout_->fail(error);
        progress_.notify_all();
    }
    /// Ends what is under way, and all that is to come.
    void fail(std::error_code error);

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

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/reload/reloader.ipp>
#endif
