// SPDX-License-Identifier: MIT
// AutoscalePolicy: how many workers a load needs, as a state machine without clock or process (layer 1).
#pragma once

#include <cohort/options.hpp>

#include <algorithm>

namespace cohort::detail {

/// Changes by one worker at a time, and only after several consecutive looks agree. The load at which it removes a
/// worker is lower than the one at which it added it, so a load near a threshold does not make it oscillate.
class AutoscalePolicy {
public:
    explicit AutoscalePolicy(const Autoscale& limits) : limits_(limits) {}

    /// The number of workers that there should be from now on, given that there are `workers`.
    unsigned look(unsigned workers, double load) {
        const unsigned most = std::max(limits_.least, limits_.most);
        if (workers < limits_.least || workers > most) return restart(std::clamp(workers, limits_.least, most));
        const double up_to = workers * limits_.load_per_worker;
        const double down_to = (workers - 1.0) * limits_.load_per_worker * (1 - limits_.headroom);
        const bool too_few = workers < most && load > up_to;
        const bool too_many = workers > limits_.least && load <= down_to;
        too_few_ = too_few ? too_few_ + 1 : 0;
        too_many_ = too_many ? too_many_ + 1 : 0;
        if (too_few_ >= std::max(1U, limits_.up_after)) return restart(workers + 1);
        if (too_many_ >= std::max(1U, limits_.down_after)) return restart(workers - 1);
        return workers;
    }

private:
    /// After each step the load is another one for each worker: what was seen before does not count.
    unsigned restart(unsigned workers) noexcept {
        too_few_ = too_many_ = 0;
        return workers;
    }

    Autoscale limits_;
    unsigned too_few_ = 0; // looks in a row
    unsigned too_many_ = 0;
};

} // namespace cohort::detail
