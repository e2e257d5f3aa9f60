// SPDX-License-Identifier: MIT
// AutoscaleLoop: carries out what an AutoscalePolicy says (layer 4).
#pragma once

#include <cohort/detail/policy/autoscale_policy.hpp>
#include <cohort/detail/system/process_setup.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <functional>
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

    AutoscaleLoop(asio::io_context& context, const std::optional<Autoscale>& limits, Owner owner);

    /// From the first worker on.
    void start() {
        if (scaler_ && !std::exchange(begun_, true)) wait();
    }
    void stop();

private:
    static Autoscale completed(Autoscale limits) {
        if (limits.most == 0) limits.most = static_cast<unsigned>(usable_cpus().size());
        return limits;
    }
    void wait();
    void look();

    asio::steady_timer timer_;
    const std::optional<Autoscale>& limits_;
    Owner owner_;
    std::optional<AutoscalePolicy> scaler_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    bool begun_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/autoscale_loop.ipp>
#endif
