// SPDX-License-Identifier: MIT
// Reloader: carries a Rollout out (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/policy/rollout.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/options.hpp>
#include <cohort/task.hpp>
#include <cohort/timeout.hpp>

#include <asio/any_io_executor.hpp>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace cohort::detail {

/// One rollout at a time. It is told what becomes of workers, and tells what is to be done with them.
class Reloader {
public:
    class Workers {
    public:
        /// The slots whose workers can be replaced.
        virtual std::vector<unsigned> replaceable() const = 0;
        /// Asks the slot's worker to leave, if it is to have left before its successor starts: then true.
        virtual bool make_room(unsigned slot) = 0;
        virtual bool has_worker(unsigned slot) const = 0;
        /// After make_room(): whether a successor was started or not, the slot is left to itself.
        virtual void leave_alone(unsigned slot) = 0;
        /// Starts a worker beside the slot's own. Returns 0 when the slot is not wanted any more. Throws
        /// std::system_error.
        virtual WorkerId start_successor(unsigned slot) = 0;
        /// The successor is ready: the predecessor is asked to leave.
        virtual void take_over(WorkerId successor) = 0;
        /// The successor has not become ready, or the reload has ended: ends it.
        virtual void end(WorkerId successor) = 0;
        /// The successor serves already, and has failed its trial: it is asked to leave, unless it is the slot's only
        /// worker.
        virtual void reject(WorkerId successor) = 0;

    protected:
        ~Workers() = default;
    };

    Reloader(const asio::any_io_executor& executor, Workers& workers)
        : workers_(workers), progress_(executor), deadline_(executor) {}

    /// Replaces the workers of all slots that there are when it begins: a replacement under way ends first. One at a
    /// time: whoever calls this sees to that.
    Task<ReloadReport> reload(const Options& options);
    /// The worker of one slot. Errc::reloading: anything else is under way.
    Task<ReloadReport> replace(unsigned slot, Timeout boot_timeout);

    /// Waits until nothing is under way.
    Task<> until_idle();
    void on_ready(WorkerId worker);
    void on_exit(WorkerId worker, const ExitStatus& status);
    /// The successor's slot is not wanted any more: goes on without it.
    void forget(WorkerId successor);
    /// Ends what is under way.
    void interrupt(std::error_code error) {
        if (rollout_) rollout_->fail(error);
        progress_.notify_all();
    }
    /// Ends what is under way, and refuses all that would come later.
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

    /// Until it is over, or this object has gone (Errc::stopping).
    Task<ReloadReport> carry_out(Rollout rollout);
    void hand_over() {
        for (const WorkerId successor : rollout_->take_accepted()) workers_.take_over(successor);
    }
    Task<> start_successors();
    void start_successor(unsigned slot);
    void leave_emptied();
    void judge();
    void set_deadline();
    void go_on();
    ReloadReport finish();

    Workers& workers_;
    Notifier progress_;
    Timer deadline_;
    std::shared_ptr<bool> reloading_ = share<bool>(false);
    std::shared_ptr<bool> alive_ = share<bool>(true);
    std::optional<Rollout> rollout_;
    std::optional<unsigned> emptied_; // a slot that was made room in, until its successor was started
    std::error_code closed_;
    Canary canary_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/reload/reloader.ipp>
#endif
