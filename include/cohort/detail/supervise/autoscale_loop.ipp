// SPDX-License-Identifier: MIT
// The bodies of autoscale_loop.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/autoscale_loop.hpp>

#include <cohort/detail/config.hpp>

#include <exception>
#include <iostream>

namespace cohort::detail {

COHORT_DECL AutoscaleLoop::AutoscaleLoop(asio::io_context& context, const std::optional<Autoscale>& limits, Owner owner)
    : timer_(context), limits_(limits), owner_(std::move(owner)) {
    if (limits_) scaler_.emplace(completed(*limits_));
    if (limits_ && limits_->load) owner_.load = limits_->load;
}

COHORT_DECL void AutoscaleLoop::stop() {
    begun_ = true;
    scaler_.reset();
    timer_.cancel();
}

COHORT_DECL void AutoscaleLoop::wait() {
    timer_.expires_after(limits_->interval);
    timer_.async_wait([this, alive = std::weak_ptr(alive_)](std::error_code error) {
        if (error || alive.expired() || !scaler_) return;
        look();
        if (scaler_) wait();
    });
}

COHORT_DECL void AutoscaleLoop::look() {
    try {
        const unsigned workers = owner_.workers();
        if (workers == 0) return; // they have done what they were for
        const unsigned wanted = scaler_->look(workers, owner_.load());
        if (wanted != workers) owner_.scale(wanted);
    } catch (const std::exception& error) { // it may work the next time
        std::cerr << "cohort: autoscale: " << error.what() << std::endl;
    }
}

} // namespace cohort::detail
