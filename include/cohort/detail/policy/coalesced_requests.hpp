// SPDX-License-Identifier: MIT
// CoalescedRequests: who is served by which run of something that runs once at a time (layer 1).
#pragma once

#include <cohort/reload.hpp>

#include <cstdint>

namespace cohort::detail {

/// A request that comes during a run is not served by it: what the run does may have begun before what the request is
/// about, such as a new configuration. One more run serves it, together with all that came until that run began.
class CoalescedRequests {
public:
    /// Returns the number of the request.
    std::uint64_t add() noexcept { return ++asked_; }
    /// A run begins. Returns the number of the last request that it serves.
    std::uint64_t begin() const noexcept { return asked_; }
    void end(std::uint64_t last, const ReloadReport& report) {
        served_ = last;
        report_ = report;
    }
    bool is_served(std::uint64_t request) const noexcept { return request <= served_; }
    /// How the last run ended.
    const ReloadReport& report() const noexcept { return report_; }

private:
    std::uint64_t asked_ = 0;
    std::uint64_t served_ = 0;
    ReloadReport report_;
};

} // namespace cohort::detail
