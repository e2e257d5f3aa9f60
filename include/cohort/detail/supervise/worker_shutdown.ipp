// SPDX-License-Identifier: MIT
// The bodies of worker_shutdown.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/worker_shutdown.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <csignal>
#include <system_error>
#include <utility>

namespace cohort::detail {

COHORT_DECL void WorkerShutdown::kill_all() {
    for (const auto& [id, record] : concerned_.processes.records()) {
        record->voluntary = true;
        send_signal(record->pidfd.get(), SIGKILL);
    }
}

/// Whether others could take over this worker's open connections.
COHORT_DECL bool WorkerShutdown::has_successors(const WorkerRecord& record) const {
    if (concerned_.upgrade.has_succeeded()) return true;
    return !stopping_ && std::ranges::any_of(concerned_.processes.records(), [&record](const auto& other) {
        return other.first != record.id && other.second->state == WorkerState::listening;
    });
}

COHORT_DECL void WorkerShutdown::ask_to_leave(WorkerRecord& record) {
    if (record.state == WorkerState::draining) {
        // The others, for whom it keeps its connections, leave as well.
        if (stopping_ && !has_successors(record)) record.link->send(Stop{.hand_over = false});
        return;
    }
    const bool is_limited = std::exchange(record.voluntary, true); // by kill()
    concerned_.processes.enter(record, WorkerState::draining);
    concerned_.dispatcher.drain(record);
    concerned_.control_service.drain(record);
    record.link->send(Stop{.hand_over = has_successors(record)});
    if (record.stop_signal) send_signal(record.pidfd.get(), *record.stop_signal);
    record.messages->end_messages();
    concerned_.bus.finish(record.id);
    if (!is_limited) concerned_.processes.limit(record);
}

COHORT_DECL void WorkerShutdown::on_leaving(WorkerRecord& record, bool replace) {
    const bool has_place = concerned_.slots.holds(record) && concerned_.slots[record.slot].wanted;
    if (!replace || !has_place) return let_go(record);
    record.to_be_replaced = true;
    if (!record.ready) ask_to_leave(record);
}

COHORT_DECL void WorkerShutdown::kill(WorkerRecord& record, int signal) {
    const bool asks = signal == SIGTERM || signal == SIGINT || signal == SIGQUIT;
    const bool ends = asks || signal == SIGKILL;
    if (asks && !record.voluntary) concerned_.processes.limit(record); // it may be stuck, or heed no signal
    record.voluntary = record.voluntary || ends;
    if (ends) concerned_.slots.let_go(record);
    if (const auto error = send_signal(record.pidfd.get(), signal)) throw std::system_error(error, "kill");
}

} // namespace cohort::detail
