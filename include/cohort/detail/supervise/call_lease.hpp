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
    CallLease(CallPool& pool, std::shared_ptr<WorkerRecord> record) : pool_(&pool), record_(std::move(record)) {}
    CallLease(CallLease&& other) noexcept : pool_(other.pool_), record_(std::move(other.record_)) {}
    CallLease& operator=(CallLease&&) = delete;
    ~CallLease() {
        if (record_) give_back();
    }

    MessageStream& messages() const noexcept;

private:
    void give_back();

    CallPool* pool_;
    std::shared_ptr<WorkerRecord> record_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/call_pool.hpp>
#endif
