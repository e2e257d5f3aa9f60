// SPDX-License-Identifier: MIT
// AutoscaleLoop: carries out what an AutoscalePolicy says (layer 4).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/policy/autoscale_policy.hpp>
#include <cohort/options.hpp>

#include <asio/any_io_executor.hpp>

#include <optional>
#include <utility>

namespace cohort::detail {

/// Looks at the load every Autoscale::interval, and has workers started or asked to leave.
class AutoscaleLoop {
public:
    class Owner {
    public:
        virtual unsigned worker_count() const = 0;
        /// Unless Autoscale::load is given.
        virtual double current_load() const = 0;
        virtual void scale_to(unsigned workers) = 0;

    protected:
        ~Owner() = default;
    };

    AutoscaleLoop(const asio::any_io_executor& executor, const std::optional<Autoscale>& limits, Owner& owner);

    /// From the first worker on.
    void start() {
        if (policy_ && !std::exchange(begun_, true)) wait();
    }
    void stop();

private:
    void wait();
    void look_and_wait();
    void look();

    Timer timer_;
    const std::optional<Autoscale>& limits_;
    Owner& owner_;
    std::optional<AutoscalePolicy> policy_;
    bool begun_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/autoscale_loop.ipp>
#endif
