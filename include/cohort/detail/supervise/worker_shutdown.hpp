// SPDX-License-Identifier: MIT
// WorkerShutdown: how a worker is asked to leave, and made to (layer 4).
#pragma once

#include <cohort/detail/channel/bus.hpp>
#include <cohort/detail/process/control_service.hpp>
#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/process/worker_processes.hpp>
#include <cohort/detail/upgrade/master_upgrade.hpp>
#include <cohort/mode.hpp>

namespace cohort::detail {

/// Tells all the parts of the master that are concerned.
class WorkerShutdown {
public:
    struct Concerned {
        WorkerProcesses& processes;
        Slots& slots;
        Dispatcher& dispatcher;
        ControlService& control_service;
        Bus& bus;
        const MasterUpgrade& upgrade;
    };

    /// `stopping`: whether the whole cluster ends.
    WorkerShutdown(const Concerned& concerned, const bool& stopping) : concerned_(concerned), stopping_(stopping) {}

    /// Asks the worker to drain; it is killed when it has not ended within Options::grace.
    void ask_to_leave(WorkerRecord& record);
    /// ask_to_leave() for a worker that gets no successor.
    void let_go(WorkerRecord& record) {
        concerned_.slots.let_go(record);
        ask_to_leave(record);
    }
    /// The worker wants to leave. `replace`: when another one is ready, for which HealthMonitor cares; now, if it is
    /// not ready itself.
    void on_leaving(WorkerRecord& record, bool replace);
    /// Throws what the system says.
    void kill(WorkerRecord& record, int signal);
    void kill_all();

private:
    bool has_successors(const WorkerRecord& record) const;

    Concerned concerned_;
    const bool& stopping_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/worker_shutdown.ipp>
#endif
