// SPDX-License-Identifier: MIT
#include <cohort/detail/policy/option_faults.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <system_error>

#include <sys/resource.h>

using namespace cohort;
using namespace std::chrono_literals;

TEST_CASE("the defaults contradict nothing") { CHECK(detail::option_fault({}).empty()); }

TEST_CASE("options that contradict themselves are refused with a sentence that names them") {
    struct Row {
        const char* name;
        std::function<void(Options&)> choose;
    };
    const Row rows[] = {
        {"backoff.jitter", [](Options& o) { o.backoff.jitter = 1.1; }},
        {"backoff.jitter", [](Options& o) { o.backoff.jitter = std::numeric_limits<double>::quiet_NaN(); }},
        {"backoff.failed_starts", [](Options& o) { o.backoff.failed_starts = 0; }},
        {"liveness.interval", [](Options& o) { o.liveness.interval = o.liveness.timeout + 1ms; }},
        {"recycle.jitter", [](Options& o) { o.recycle.jitter = -0.1; }},
        {"probe.failures",
         [](Options& o) {
             o.probe.check = [](const WorkerInfo&) -> Task<bool> { co_return true; };
             o.probe.failures = 0;
         }},
        {"reload_at_once", [](Options& o) { o.reload_at_once = 0; }},
        {"draining_per_slot", [](Options& o) { o.draining_per_slot = 0; }},
        {"autoscale.least", [](Options& o) { o.autoscale = {.least = 3, .most = 2}; }},
        {"workers",
         [](Options& o) {
             o.workers = 3;
             o.autoscale = {.most = 2};
         }},
        {"workers",
         [](Options& o) {
             o.workers = 1;
             o.autoscale = {.least = 2};
         }},
        {"autoscale.load_per_worker", [](Options& o) { o.autoscale = {.load_per_worker = 0}; }},
        {"autoscale.headroom", [](Options& o) { o.autoscale = {.headroom = 2}; }},
        {"credit", [](Options& o) { o.credit = 0; }},
        {"max_message", [](Options& o) { o.max_message = 0; }},
        {"calls_per_worker", [](Options& o) { o.calls_per_worker = 0; }},
        {"control.clients",
         [](Options& o) {
             o.control.path = "/run/app";
             o.control.clients = 0;
         }},
        {"worker.cgroup.cpus", [](Options& o) { o.worker.cgroup = {.cpus = 0}; }},
        {"worker.cgroup.cpu_weight", [](Options& o) { o.worker.cgroup = {.cpu_weight = 10'001}; }},
        {"worker.nice", [](Options& o) { o.worker.nice = 20; }},
        {"worker.limits",
         [](Options& o) {
             o.worker.limits[RLIMIT_NOFILE] = {2, 1};
         }},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        Options options;
        row.choose(options);
        CHECK(detail::option_fault(options).starts_with(std::string("Options::") + row.name));
        CHECK_THROWS_WITH_AS(detail::refuse_contradictions(options), doctest::Contains(row.name), std::system_error);
    }
}

TEST_CASE("what only looks like a contradiction is accepted") {
    const std::function<void(Options&)> choices[] = {
        [](Options& o) { o.liveness = {.interval = 0ms, .slow_after = 2ms, .timeout = 1ms}; }, // there are no checks
        [](Options& o) { o.probe.failures = 0; },                                              // nor probes
        [](Options& o) { o.control.clients = 0; },                                             // nor a control socket
        [](Options& o) { o.autoscale = {.least = 3}; },     // most is as many as there are CPUs
        [](Options& o) { o.liveness.timeout = 2s; },        // it is never said to be slow
        [](Options& o) { o.backoff.longest = 1ms; },        // shorter than the first wait: that is shorter, too
        [](Options& o) { o.worker.program = "/bin/true"; }, // for Spawn::exec, when that is chosen
        [](Options& o) { o.connections_per_worker = 0; },   // until Worker::limit_connections
    };
    for (const auto& choose : choices) {
        Options options;
        choose(options);
        CHECK(detail::option_fault(options).empty());
    }
}
