// SPDX-License-Identifier: MIT
// WorkerShutdown: how a worker is asked to leave, and made to (layer 4).
#pragma once

#include <cohort/detail/channel/bus.hpp>
#include <cohort/detail/listen/any_dispatcher.hpp>
#include <cohort/detail/process/control_service.hpp>
#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/process/worker_processes.hpp>
#include <cohort/detail/upgrade/master_upgrade.hpp>

#include <algorithm>
#include <csignal>
#include <functional>
#include <system_error>

namespace cohort::detail {

/// Tells everybody concerned.
class WorkerShutdown {
public:
    struct Concerned {
        WorkerProcesses& crew;
        Slots& slots;
        AnyDispatcher& dispatcher;
        ControlService& control_service;
        Bus& bus;
        const MasterUpgrade& upgrade;
    };

    WorkerShutdown(Concerned concerned, std::function<bool()> stopping)
        : concerned_(concerned), stopping_(std::move(stopping)) {}

    /// It accepts and receives nothing more, and is killed when it takes too long.
    void ask_to_leave(WorkerRecord& record);
    /// The same, and no successor comes.
    void let_go(WorkerRecord& record) {
        concerned_.slots.let_go(record);
        ask_to_leave(record);
    }
    /// Throws what the system says.
    void kill(WorkerRecord& record, int signal);
    void kill_all() {
        for (const auto& [id, record] : concerned_.crew.records()) {
            record->voluntary = true;
            send_signal(record->pidfd.get(), SIGKILL);
        }
    }

private:
    bool has_successors(const WorkerRecord& record) const;

    Concerned concerned_;
    std::function<bool()> stopping_;
};

/// Somebody could go on with what this worker has open.
inline bool WorkerShutdown::has_successors(const WorkerRecord& record) const {
    if (concerned_.upgrade.has_succeeded()) return true;
    return !stopping_() && std::ranges::any_of(concerned_.crew.records(), [&record](const auto& other) {
        return other.first != record.id && other.second->state == WorkerState::listening;
    });
}

inline void WorkerShutdown::ask_to_leave(WorkerRecord& record) {
    if (record.state == WorkerState::draining) return;
    record.voluntary = true;
    concerned_.crew.enter(record, WorkerState::draining);
    concerned_.dispatcher.drain(record);
    concerned_.control_service.drain(record);
    record.link->send(Stop{.hand_over = has_successors(record)});
    if (record.stop_signal) send_signal(record.pidfd.get(), *record.stop_signal);
    record.messages->end_messages();
    concerned_.bus.finish(record.id);
    concerned_.crew.limit(record);
}

inline void WorkerShutdown::kill(WorkerRecord& record, int signal) {
    const bool ends = signal == SIGTERM || signal == SIGKILL || signal == SIGINT || signal == SIGQUIT;
    record.voluntary = record.voluntary || ends;
    if (ends) concerned_.slots.let_go(record);
    if (const auto error = send_signal(record.pidfd.get(), signal)) throw std::system_error(error, "kill");
}

} // namespace cohort::detail
