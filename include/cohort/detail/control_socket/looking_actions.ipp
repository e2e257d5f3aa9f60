// SPDX-License-Identifier: MIT
// The bodies of looking_actions.hpp (layer 4).
#pragma once

#include <cohort/detail/control_socket/looking_actions.hpp>

#include <cohort/control/messages.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control_socket/master_action.hpp>
#include <cohort/detail/logs/log_service.hpp>
#include <cohort/detail/supervise/cpu_time.hpp>
#include <cohort/detail/supervise/resident_memory.hpp>
#include <cohort/detail/supervise/stats_collector.hpp>
#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/detail/system/process_start.hpp>
#include <cohort/version.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::chrono::milliseconds time_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
}

COHORT_DECL control::RecycleStatus recycling_of(Supervisor& supervisor, WorkerId worker) {
    const auto recycling = supervisor.health_monitor().recycling_of(worker);
    if (!recycling) return {};
    const auto& [limits, age, is_due] = *recycling;
    return {limits.requests, limits.age, limits.memory, std::chrono::floor<std::chrono::milliseconds>(age), is_due};
}

COHORT_DECL control::WorkerStatus status_of(Supervisor& supervisor, const WorkerRecord& record) {
    SharedPage& page = supervisor.page();
    const WorkerCell& cell = page.worker(record.cell);
    control::WorkerStatus status;
    status.id = record.id;
    status.slot = record.slot;
    status.pid = record.pid;
    status.state = record.state;
    status.ready = record.ready;
    status.slow = record.slow;
    status.generation = record.generation;
    status.uptime = time_since(record.born);
    status.connections = cell.open_connections();
    const Totals::Living counted = page.living(record.cell);
    status.requests = counted.requests;
    status.in_progress = counted.in_progress;
    status.lag = counted.lag;
    status.messages = messages_of(record);
    status.calls = record.calls;
    status.recycle = recycling_of(supervisor, record.id);
    if (record.reaped) return status;
    const auto memory = memory_of(record.pid).value_or(ProcessMemory{});
    status.memory = memory.resident;
    status.private_memory = memory.resident - memory.shared;
    status.cpu = cpu_time(record.pid).value_or(std::chrono::milliseconds(0));
    return status;
}

COHORT_DECL std::string program_line() {
    std::string line;
    for (const std::string& word : arguments_now()) line += (line.empty() ? "" : " ") + word;
    constexpr std::size_t most = 4'096;
    return line.substr(0, most);
}

COHORT_DECL control::MasterStatus tell_status(Supervisor& supervisor, control::Nothing) {
    control::MasterStatus status;
    status.program = program_line();
    status.version = COHORT_VERSION_STRING;
    status.pid = ::getpid();
    status.uptime = time_since(supervisor.born());
    status.generation = supervisor.generation();
    status.wanted = supervisor.slot_manager().count();
    status.stopping = supervisor.stopping();
    status.given_up = supervisor.has_given_up();
    const Slots& slots = supervisor.slot_manager().slots();
    for (unsigned slot = 0; slot != slots.size(); ++slot) {
        if (!slots[slot].occupied && slots[slot].restarts == 0) continue;
        const std::string end = slots[slot].last_end ? slots[slot].last_end->describe() : "";
        status.slots.push_back({slot, slots[slot].restarts, end});
    }
    for (const auto& [id, record] : supervisor.records()) status.workers.push_back(status_of(supervisor, *record));
    return status;
}

COHORT_DECL control::Statistics tell_statistics(Supervisor& supervisor, control::Nothing) {
    return control::Statistics{supervisor.stats(), supervisor.totals()};
}

COHORT_DECL control::Requests tell_requests(Supervisor& supervisor, control::Nothing) {
    return control::Requests{supervisor.requests()};
}

COHORT_DECL control::NumberedEvent to_numbered(const EventLog::Entry& entry) {
    const Event& event = entry.event;
    return {entry.number, entry.time,     event.kind,   event.worker,    event.slot,
            event.pid,    event.endpoint, event.status, event.voluntary, control::Failure::of(event.error)};
}

/// Those that were asked for and are there, and how many are not.
COHORT_DECL control::Events events_since(const EventLog& log, control::EventsFrom from) {
    constexpr std::uint32_t most = 256;
    // A number that has not been reached is one of the master before: what there is here it has not told.
    if (from.number > log.next_number()) from.number = 1;
    from.number = std::max<std::uint64_t>(from.number, 1);
    from.most = std::clamp<std::uint32_t>(from.most, 1, most);
    control::Events events;
    events.next = log.next_number();
    std::uint64_t expected = from.number;
    for (const auto& entry : log.entries()) {
        if (entry.number < from.number) continue;
        if (events.events.size() == from.most) {
            events.next = expected;
            return events;
        }
        events.missed += entry.number - expected;
        expected = entry.number + 1;
        events.events.push_back(to_numbered(entry));
    }
    events.missed += events.next - expected;
    return events;
}

COHORT_DECL Task<control::Events> tell_events(Supervisor& supervisor, control::EventsFrom from) {
    EventLog& log = supervisor.history();
    const std::weak_ptr<bool> alive = supervisor.lifetime();
    while (!alive.expired()) {
        control::Events events = events_since(log, from);
        const bool is_last = supervisor.stopping() && supervisor.is_finished();
        events.ended = is_last && events.next == log.next_number();
        if (events.ended || events.missed != 0 || !events.events.empty()) co_return events;
        co_await log.wait();
    }
    throw std::system_error(make_error_code(Errc::closed));
}

COHORT_DECL control::Crashes tell_crashes(Supervisor& supervisor, control::Nothing) {
    control::Crashes crashes;
    for (const auto& entry : supervisor.history().entries())
        if (entry.event.crash) crashes.crashes.push_back({entry.number, *entry.event.crash});
    return crashes;
}

COHORT_DECL LogService& log_of(Supervisor& supervisor) {
    if (LogService* const logs = supervisor.logs()) return *logs;
    throw std::system_error(EOPNOTSUPP, std::system_category(), "Options::logs is not set");
}

COHORT_DECL control::LogLine to_log_line(const RecentLines::Entry& entry) {
    const LogSource& source = entry.source;
    const std::string stream(to_string(source.stream));
    return {entry.number, entry.time, source.worker, source.slot, stream, entry.text, entry.goes_on};
}

COHORT_DECL control::Logs to_logs(const RecentLines::Entries& entries, std::uint64_t next) {
    control::Logs logs;
    logs.next = next;
    for (const auto* const entry : entries) logs.lines.push_back(to_log_line(*entry));
    return logs;
}

COHORT_DECL control::Logs logs_since(const RecentLines& recent, control::LogsFrom from) {
    constexpr std::uint32_t most = 256;
    const std::uint64_t next = recent.next_number();
    if (from.number > next || from.number == 0) from.number = 1; // see events_since()
    from.most = std::clamp<std::uint32_t>(from.most, 1, most);
    const auto entries = recent.since(from.number, from.most);
    const bool is_all = entries.size() < from.most;
    control::Logs logs = to_logs(entries, is_all ? next : entries.back()->number + 1);
    logs.missed = logs.next - from.number - entries.size();
    return logs;
}

COHORT_DECL Task<control::Logs> tell_logs(Supervisor& supervisor, control::LogsFrom from) {
    RecentLines& recent = log_of(supervisor).recent();
    const std::weak_ptr<bool> alive = supervisor.lifetime();
    while (!alive.expired()) {
        control::Logs logs = logs_since(recent, from);
        const bool is_last = supervisor.stopping() && supervisor.is_finished();
        logs.ended = is_last && logs.next == recent.next_number();
        if (logs.ended || logs.missed != 0 || !logs.lines.empty()) co_return logs;
        co_await recent.wait();
    }
    throw std::system_error(make_error_code(Errc::closed));
}

COHORT_DECL control::Logs tell_last_logs(Supervisor& supervisor, control::LogsOf of) {
    const RecentLines& recent = log_of(supervisor).recent();
    return to_logs(recent.last(of.worker, of.most), recent.next_number());
}

COHORT_DECL control::Description tell_options(Supervisor& supervisor, control::Nothing) {
    return control::Description{cohort::describe(supervisor.options())};
}

COHORT_DECL void add_looking_actions(ControlPlane& control, Supervisor& supervisor) {
    add_action(control, supervisor, "status", &tell_status);
    add_action(control, supervisor, "statistics", &tell_statistics);
    add_action(control, supervisor, "requests", &tell_requests);
    add_action(control, supervisor, "events", &tell_events);
    add_action(control, supervisor, "crashes", &tell_crashes);
    add_action(control, supervisor, "logs", &tell_logs);
    add_action(control, supervisor, "last logs", &tell_last_logs);
    add_action(control, supervisor, "describe", &tell_options);
}

} // namespace cohort::detail
