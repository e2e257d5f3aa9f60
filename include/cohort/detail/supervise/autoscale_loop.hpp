// SPDX-License-Identifier: MIT
// AutoscaleLoop: carries out what an AutoscalePolicy says (layer 4).
#pragma once

#include <cohort/detail/policy/autoscale_policy.hpp>
#include <cohort/detail/system/process_setup.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

namespace cohort::detail {

class AutoscaleLoop {
public:
    struct Owner {
        std::function<unsigned()> workers;
        std::function<double()> load; ///< unless Autoscale::load is given
        std::function<void(unsigned workers)> scale;
    };

    AutoscaleLoop(asio::io_context& context, const std::optional<Autoscale>& limits, Owner owner)
        : timer_(context), limits_(limits), owner_(std::move(owner)) {
        if (limits_) scaler_.emplace(completed(*limits_));
        if (limits_ && limits_->load) owner_.load = limits_->load;
    }

    /// From the first worker on.
    void start() {
        if (scaler_ && !std::exchange(begun_, true)) wait();
    }
    void stop() {
        begun_ = true;
        scaler_.reset();
        timer_.cancel();
    }

private:
    static Autoscale completed(Autoscale limits) {
        if (limits.most == 0) limits.most = static_cast<unsigned>(usable_cpus().size());
        return limits;
    }
    void wait() {
        timer_.expires_after(limits_->interval);
        timer_.async_wait([this, alive = std::weak_ptr(alive_)](std::error_code error) {
            if (error || alive.expired() || !scaler_) return;
            look();
            if (scaler_) wait();
        });
    }
    void look() {
        try {
            const unsigned workers = owner_.workers();
            if (workers == 0) return; // they have done what they were for
            const unsigned wanted = scaler_->look(workers, owner_.load());
            if (wanted != workers) owner_.scale(wanted);
        } catch (const std::exception& error) { // it may work the next time
            std::cerr << "cohort: autoscale: " << error.what() << std::endl;
        }
    }

    asio::steady_timer timer_;
    const std::optional<Autoscale>& limits_;
    Owner owner_;
    std::optional<AutoscalePolicy> scaler_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    bool begun_ = false;
};

} // namespace cohort::detail
