// SPDX-License-Identifier: MIT
// CallPool: which worker gets the next call, and the calls that wait until one has room (layer 4).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/detail/supervise/call_lease.hpp>

#include <asio/steady_timer.hpp>

#include <chrono>
#include <list>
#include <memory>
#include <system_error>
#include <utility>

namespace cohort::detail {

/// Calls go to the worker with the fewest under way, and wait in their order when every worker has as many as it may.
/// A wait may outlive the pool, and then ends.
class CallPool : public std::enable_shared_from_this<CallPool> {
public:
    class Owner {
    public:
        /// Why no worker will take calls any more; no error: one does, or may come.
        virtual std::error_code why_no_worker() const = 0;

    protected:
        ~Owner() = default;
    };

    using RecordPtr = std::shared_ptr<WorkerRecord>;
    using Clock = std::chrono::steady_clock;

    CallPool(const asio::any_io_executor& executor, const WorkerRecords& records, const Options& options, Owner& owner)
        : executor_(executor),
          records_(records),
          calls_per_worker_(options.calls_per_worker),
          most_waiting_(options.queued_calls),
          owner_(owner) {}
    CallPool(const CallPool&) = delete;
    CallPool& operator=(const CallPool&) = delete;
    ~CallPool() { refuse_all(Errc::closed); }

    /// Waits for a worker with room. Throws Errc::queue_full when too many wait already, ETIMEDOUT, and why no worker
    /// will come.
    COHORT_LAZY Task<CallLease> lease(Clock::time_point deadline);
    /// From now on; those under way and those that wait stay.
    void limit(unsigned calls_per_worker, std::size_t most_waiting) {
        calls_per_worker_ = calls_per_worker;
        most_waiting_ = most_waiting;
        grant();
    }
    /// Called when a worker has come or has room again: serves the calls that wait.
    void grant();
    /// Called when a worker leaves or is gone: ends the calls that wait if no other will come.
    void review();

    std::size_t waiting() const noexcept { return waiters_.size(); }

    /// For CallLease: the worker has finished a call.
    void give_back(WorkerRecord& record);

private:
    struct Waiter {
        explicit Waiter(const asio::any_io_executor& executor) : timer(executor) {}
        asio::steady_timer timer;
        RecordPtr granted;
        std::error_code refused;
    };

    RecordPtr least_busy() const;
    void refuse_all(std::error_code error);
    void withdraw(const std::shared_ptr<Waiter>& waiter);

    /// In the queue until it goes, however the wait ends.
    class Waiting {
    public:
        Waiting(CallPool& pool, std::shared_ptr<Waiter> waiter)
            : pool_(pool.weak_from_this()), waiter_(std::move(waiter)) {
            pool.waiters_.push_back(waiter_);
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        ~Waiting() {
            if (const auto pool = pool_.lock()) pool->withdraw(waiter_);
        }

        /// What was granted, if that is so.
        CallLease take() const { return {pool_, std::exchange(waiter_->granted, nullptr)}; }

    private:
        std::weak_ptr<CallPool> pool_;
        std::shared_ptr<Waiter> waiter_;
    };

    asio::any_io_executor executor_;
    const WorkerRecords& records_;
    unsigned calls_per_worker_;
    std::size_t most_waiting_;
    Owner& owner_;
    std::list<std::shared_ptr<Waiter>> waiters_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/call_pool.ipp>
#endif
