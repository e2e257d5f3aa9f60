// SPDX-License-Identifier: MIT
// The bodies of call_pool.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/call_pool.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

namespace cohort::detail {

COHORT_DECL CallPool::RecordPtr CallPool::least_busy() const {
    RecordPtr best;
    // One that reads nothing, so that its calls end at once, would have the fewest.
    const auto load = [](const WorkerRecord& record) {
        return std::pair(!record.messages->takes_calls(), record.calls);
    };
    for (const auto& [id, record] : records_) {
        const bool takes_calls = (record->state == WorkerState::online || record->state == WorkerState::listening) &&
                                 record->messages->can_send() && !record->messages->ended();
        if (takes_calls && record->calls < calls_per_worker_ && (!best || load(*record) < load(*best))) best = record;
    }
    return best;
}

COHORT_DECL void CallPool::grant() {
    while (!waiters_.empty()) {
        auto worker = least_busy();
        if (!worker) return;
        ++worker->calls;
        waiters_.front()->granted = std::move(worker);
        waiters_.front()->timer.cancel();
        waiters_.pop_front();
    }
}

COHORT_DECL void CallPool::give_back(WorkerRecord& record) {
    --record.calls;
    grant();
}

COHORT_DECL void CallPool::review() {
    if (waiters_.empty()) return;
    if (const auto error = owner_.why_no_worker()) refuse_all(error);
}

COHORT_DECL void CallPool::refuse_all(std::error_code error) {
    for (const auto& waiter : std::exchange(waiters_, {})) {
        waiter->refused = error;
        waiter->timer.cancel();
    }
}

/// Whoever stops waiting passes on what it may just have been granted.
COHORT_DECL void CallPool::withdraw(const std::shared_ptr<Waiter>& waiter) {
    std::erase(waiters_, waiter);
    if (const auto granted = std::exchange(waiter->granted, nullptr)) give_back(*granted);
}

COHORT_LAZY COHORT_DECL Task<CallLease> CallPool::lease(Clock::time_point deadline) {
    // Nothing will end a wait that begins after the last worker has gone.
    if (const auto error = owner_.why_no_worker()) throw std::system_error(error, "call");
    if (waiters_.empty()) {
        if (auto worker = least_busy()) {
            ++worker->calls;
            co_return CallLease(weak_from_this(), std::move(worker));
        }
    }
    if (waiters_.size() >= most_waiting_) throw std::system_error(make_error_code(Errc::queue_full), "call");
    const auto waiter = share<Waiter>(executor_);
    const Waiting waiting(*this, waiter);
    waiter->timer.expires_at(deadline);
    std::error_code error;
    co_await until_expired(waiter->timer, error);
    if (waiter->refused) throw std::system_error(waiter->refused, "call");
    if (!waiter->granted && !error) error = {ETIMEDOUT, std::system_category()};
    if (!waiter->granted) throw std::system_error(error, "call");
    co_return waiting.take(); // the pool may be gone
}

COHORT_DECL MessageStream& CallLease::messages() const noexcept { return *record_->messages; }

COHORT_DECL void CallLease::give_back() {
    if (const auto pool = pool_.lock()) pool->give_back(*record_);
}

} // namespace cohort::detail
