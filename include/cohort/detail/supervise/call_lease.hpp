// SPDX-License-Identifier: MIT
// CallLease: the place that one call has at a worker of the pool (layer 4).
#pragma once

#include <memory>
#include <utility>

namespace cohort::detail {

class CallPool;
class MessageStream;
struct WorkerRecord;

/// Given back when it goes.
class CallLease {
public:
    CallLease(std::weak_ptr<CallPool> pool, std::shared_ptr<WorkerRecord> record)
        : pool_(std::move(pool)), record_(std::move(record)) {}
    CallLease(CallLease&& other) noexcept : pool_(std::move(other.pool_)), record_(std::move(other.record_)) {}
    CallLease& operator=(CallLease&&) = delete;
    ~CallLease() {
        if (record_) give_back();
    }

    MessageStream& messages() const noexcept;
    /// The master is gone: there is nowhere to try again.
    bool is_over() const noexcept { return pool_.expired(); }

private:
    void give_back();

    std::weak_ptr<CallPool> pool_; // a call may outlive its master
    std::shared_ptr<WorkerRecord> record_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/call_pool.hpp>
#endif
