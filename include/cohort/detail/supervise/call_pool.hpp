// SPDX-License-Identifier: MIT
// CallPool: which worker gets the next call, and the calls that wait until one has room (layer 4).
#pragma once

#include <cohort/detail/process/worker_record.hpp>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <system_error>
#include <utility>

namespace cohort::detail {

/// Calls go to the worker with the fewest under way, and wait in their order when every worker has as many as it may.
class CallPool {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;
    using Clock = std::chrono::steady_clock;

    CallPool(const asio::any_io_executor& executor, const WorkerRecords& records, unsigned calls_per_worker,
             std::size_t most_waiting)
        : executor_(executor), records_(records), calls_per_worker_(calls_per_worker), most_waiting_(most_waiting) {}

    /// One call's place at a worker, until it goes.
    class Lease {
    public:
        Lease(CallPool& pool, RecordPtr record) : pool_(&pool), record_(std::move(record)) {}
        Lease(Lease&& other) noexcept : pool_(other.pool_), record_(std::move(other.record_)) {}
        Lease& operator=(Lease&&) = delete;
        ~Lease() {
            if (record_) pool_->give_back(*record_);
        }
        WorkerRecord& worker() const noexcept { return *record_; }

    private:
        CallPool* pool_;
        RecordPtr record_;
    };

    /// Waits for a worker with room. Throws Errc::queue_full when too many wait already, ETIMEDOUT, and why no worker
    /// will come.
    Task<Lease> lease(Clock::time_point deadline);
    /// A worker has come, or has room again.
    void grant();
    /// No worker will come.
    void refuse_all(std::error_code error);

private:
    struct Waiter {
        explicit Waiter(const asio::any_io_executor& executor) : timer(executor) {}
        asio::steady_timer timer;
        RecordPtr granted;
        std::error_code refused;
    };

    RecordPtr least_busy() const;
    void give_back(WorkerRecord& record) {
        --record.calls;
        grant();
    }
    void withdraw(const std::shared_ptr<Waiter>& waiter);

    asio::any_io_executor executor_;
    const WorkerRecords& records_;
    unsigned calls_per_worker_;
    std::size_t most_waiting_;
    std::deque<std::shared_ptr<Waiter>> waiters_;
};

inline CallPool::RecordPtr CallPool::least_busy() const {
    RecordPtr best;
    for (const auto& [id, record] : records_) {
        const bool takes_calls = (record->state == WorkerState::online || record->state == WorkerState::listening) &&
                                 record->messages->can_send() && !record->messages->ended();
        if (takes_calls && record->calls < calls_per_worker_ && (!best || record->calls < best->calls)) best = record;
    }
    return best;
}

inline void CallPool::grant() {
    while (!waiters_.empty()) {
        auto worker = least_busy();
        if (!worker) return;
        ++worker->calls;
        waiters_.front()->granted = std::move(worker);
        waiters_.front()->timer.cancel();
        waiters_.pop_front();
    }
}

inline void CallPool::refuse_all(std::error_code error) {
    for (const auto& waiter : std::exchange(waiters_, {})) {
        waiter->refused = error;
        waiter->timer.cancel();
    }
}

/// Whoever stops waiting passes on what it may just have been granted.
inline void CallPool::withdraw(const std::shared_ptr<Waiter>& waiter) {
    std::erase(waiters_, waiter);
    if (const auto granted = std::exchange(waiter->granted, nullptr)) give_back(*granted);
}

inline Task<CallPool::Lease> CallPool::lease(Clock::time_point deadline) {
    if (waiters_.empty()) {
        if (auto worker = least_busy()) {
            ++worker->calls;
            co_return Lease(*this, std::move(worker));
        }
    }
    if (waiters_.size() >= most_waiting_) throw std::system_error(make_error_code(Errc::queue_full), "call");
    const auto waiter = std::make_shared<Waiter>(executor_);
    const auto leave = [this, waiter](CallPool*) { withdraw(waiter); };
    const std::unique_ptr<CallPool, decltype(leave)> guard(this, leave);
    waiters_.push_back(waiter);
    waiter->timer.expires_at(deadline);
    std::error_code error;
    co_await waiter->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (waiter->refused) throw std::system_error(waiter->refused, "call");
    if (!waiter->granted && !error) error = {ETIMEDOUT, std::system_category()};
    if (!waiter->granted) throw std::system_error(error, "call");
    co_return Lease(*this, std::exchange(waiter->granted, nullptr));
}

} // namespace cohort::detail
