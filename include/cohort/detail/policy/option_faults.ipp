// SPDX-License-Identifier: MIT
// The bodies of option_faults.hpp (layer 1).
#pragma once

#include <cohort/detail/policy/option_faults.hpp>

#include <cohort/detail/config.hpp>

#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <system_error>
#include <utility>

namespace cohort::detail {

/// What must not be, and the sentence about it.
struct OptionFault {
    bool is_there;
    const char* sentence;
};

COHORT_DECL const char* first_of(std::initializer_list<OptionFault> faults) noexcept {
    for (const OptionFault& fault : faults)
        if (fault.is_there) return fault.sentence;
    return "";
}

COHORT_DECL bool is_share(double number) noexcept { return number >= 0 && number <= 1; } // and a number at all

COHORT_DECL const char* supervision_fault(const Options& options) noexcept {
    const std::chrono::milliseconds interval = options.liveness.interval;
    return first_of({
        {!is_share(options.backoff.jitter), "backoff.jitter is no share from 0 to 1"},
        {options.backoff.failed_starts == 0,
         "backoff.failed_starts is 0: a slot would be given up at the first end of a worker"},
        {interval.count() > 0 && interval > options.liveness.timeout,
         "liveness.interval is longer than liveness.timeout: every worker would be taken for stuck"},
        {!is_share(options.recycle.jitter), "recycle.jitter is no share from 0 to 1"},
        {options.probe.check && options.probe.failures == 0, "probe.failures is 0: every worker would be unhealthy"},
        {options.reload_at_once == 0, "reload_at_once is 0: a reload would never begin"},
        {options.draining_per_slot == 0, "draining_per_slot is 0: no worker could finish what it has begun"},
    });
}

COHORT_DECL const char* autoscale_fault(const Options& options) noexcept {
    if (!options.autoscale) return "";
    const Autoscale& scale = *options.autoscale;
    const bool has_most = scale.most != 0;
    return first_of({
        {has_most && scale.least > scale.most, "autoscale.least is more than autoscale.most"},
        {has_most && options.workers > scale.most, "workers is more than autoscale.most"},
        {options.workers != 0 && options.workers < scale.least, "workers is less than autoscale.least"},
        {!(scale.load_per_worker > 0), "autoscale.load_per_worker is not more than 0"},
        {!is_share(scale.headroom), "autoscale.headroom is no share from 0 to 1"},
    });
}

COHORT_DECL const char* traffic_fault(const Options& options) noexcept {
    return first_of({
        {options.credit == 0, "credit is 0: no connection could be handed to a worker"},
        {options.max_message == 0, "max_message is 0: no message could be sent"},
        {options.calls_per_worker == 0, "calls_per_worker is 0: no call could be made"},
        {options.log_level > LogLevel::info, "log_level is none of its values"},
        {!options.control.path.empty() && options.control.clients == 0, "control.clients is 0: nobody could connect"},
    });
}

COHORT_DECL const char* worker_fault(const Options& options) noexcept {
    const WorkerOptions& worker = options.worker;
    return first_of({
        {worker.cgroup && worker.cgroup->cpus && !(*worker.cgroup->cpus > 0), "worker.cgroup.cpus is not more than 0"},
        {worker.cgroup && (worker.cgroup->cpu_weight.value_or(1) < 1 || worker.cgroup->cpu_weight.value_or(1) > 10'000),
         "worker.cgroup.cpu_weight is not from 1 to 10000"},
        {worker.nice && (*worker.nice < -20 || *worker.nice > 19), "worker.nice is not from -20 to 19"},
    });
}

COHORT_DECL std::string option_fault(const Options& options) {
    for (const char* const fault :
         {supervision_fault(options), autoscale_fault(options), traffic_fault(options), worker_fault(options)})
        if (*fault != '\0') return std::string("Options::") + fault;
    for (const auto& [resource, limit] : options.worker.limits)
        if (limit.soft > limit.hard)
            return "Options::worker.limits of resource " + std::to_string(resource) + ": soft is more than hard";
    return {};
}

COHORT_DECL void refuse_contradictions(const Options& options) {
    const std::string fault = option_fault(options);
    if (!fault.empty()) throw std::system_error(EINVAL, std::system_category(), fault);
}

COHORT_DECL Options consistent(Options options) {
    refuse_contradictions(options);
    return options;
}

} // namespace cohort::detail
