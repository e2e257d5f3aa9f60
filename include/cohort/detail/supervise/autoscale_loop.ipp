// SPDX-License-Identifier: MIT
// The bodies of autoscale_loop.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/autoscale_loop.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/system/cpu_quota.hpp>

#include <exception>

namespace cohort::detail {

COHORT_DECL AutoscaleLoop::AutoscaleLoop(const asio::any_io_executor& executor, const std::optional<Autoscale>& limits,
                                         Owner& owner)
    : timer_(executor), limits_(limits), owner_(owner) {
    if (!limits_) return;
    Autoscale completed = *limits_;
    if (completed.most == 0) completed.most = cpus_to_fill();
    policy_.emplace(completed);
}

COHORT_DECL void AutoscaleLoop::stop() {
    begun_ = true;
    policy_.reset();
    timer_.cancel();
}

COHORT_DECL void AutoscaleLoop::wait() {
    timer_.expire_after(limits_->interval, action<&AutoscaleLoop::look_and_wait>(this));
}

COHORT_DECL void AutoscaleLoop::look_and_wait() {
    look();
    if (policy_) wait();
}

COHORT_DECL void AutoscaleLoop::look() {
    try {
        const unsigned workers = owner_.worker_count();
        if (workers == 0) return; // they have done what they were for
        const unsigned wanted = policy_->look(workers, limits_->load ? limits_->load() : owner_.current_load());
        if (wanted != workers) owner_.scale_to(wanted);
    } catch (...) { // it may work the next time
        log_line(LogLevel::warning, "autoscale: " + exception_text());
    }
}

} // namespace cohort::detail
