// SPDX-License-Identifier: MIT
// The bodies of slot_manager.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/slot_manager.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/system/signals.hpp>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

namespace cohort::detail {

COHORT_DECL SlotManager::SlotManager(const asio::any_io_executor& executor, const Options& options,
                                     const WorkerRecords& records, Owner& owner)
    : options_(options),
      records_(records),
      owner_(owner),
      respawn_queue_(executor, slots_, options.backoff.first, *this) {}

/// True for as long as it lives.
struct Flag {
    explicit Flag(bool& flag) noexcept : raised(flag) { raised = true; }
    Flag(const Flag&) = delete;
    Flag& operator=(const Flag&) = delete;
    ~Flag() { raised = false; }

    bool& raised;
};

COHORT_DECL WorkerId SlotManager::add(WorkerSpec assignment) {
    if (adding_)
        throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                                "before_fork adds a worker while one is added");
    const Flag adding(adding_);
    const unsigned slot = slots_.add(std::move(assignment), RestartPolicy(options_.restart, options_.backoff));
    slots_[slot].wanted_endpoints = owner_.wanted_endpoints(slot);
    slots_[slot].current = owner_.start(slot);
    slots_[slot].assignment.running = 0;
    if (slots_[slot].assignment.group == 0) last_ = slots_[slot].assignment;
    return slots_[slot].current;
}

COHORT_DECL void SlotManager::scale(unsigned workers) {
    if (owner_.stopping()) throw std::system_error(make_error_code(Errc::stopping));
    if (!last_) throw std::system_error(make_error_code(Errc::no_such_worker), "nothing was spawned yet");
    std::vector<unsigned> slots = slots_.wanted(0);
    for (std::size_t count = slots.size(); count < workers; ++count) add(*last_);
    for (; slots.size() > workers; slots.pop_back()) dismiss(slots.back());
}

/// A group that starts again has its own order.
COHORT_DECL void SlotManager::refill(unsigned slot) {
    Slot& place = slots_[slot];
    place.held = false;
    const bool is_due = place.occupied && place.wanted && place.is_vacant() && !owner_.stopping();
    if (is_due && !group_restart_.concerns(place.assignment.group))
        respawn_queue_.later({slot}, std::chrono::milliseconds(0));
    else
        owner_.on_slots_settled();
}

/// Asks its workers to leave and cancels a pending start.
COHORT_DECL void SlotManager::dismiss(unsigned slot) {
    Slot& place = slots_[slot];
    place.wanted = place.held = false;
    group_restart_.forget(place.assignment.group, slot);
    respawn_queue_.forget(slot);
    owner_.forget_successor(place.successor);
    for (const WorkerId worker : {place.current, place.successor})
        if (const auto found = records_.find(worker); found != records_.end()) owner_.ask_to_leave(*found->second);
    if (!place.is_vacant()) return;
    place.occupied = false;
    owner_.release(slot);
    owner_.on_slots_settled();
}

/// What an operator wants to know of a worker's end: of what it ended, after how long, and what follows.
COHORT_DECL void tell_end(LogLevel level, const WorkerRecord& record, const ExitStatus& status,
                          const std::string& next) {
    const std::chrono::duration<double> lived = std::chrono::steady_clock::now() - record.born;
    char time[32];
    const std::string why = record.error ? " (" + record.error.message() + ")" : "";
    std::snprintf(time, sizeof time, "%.1f s", lived.count());
    log_line(level, "worker " + std::to_string(record.id) + " in slot " + std::to_string(record.slot) + " (process " +
                        std::to_string(record.pid) + ") " + status.describe() + why + " after " + time + "; " + next);
}

/// By a signal that a fault of its own raises: not what it gets when its grace is over.
COHORT_DECL bool has_crashed(const ExitStatus& status) noexcept {
    return status.signal() && is_crash_signal(*status.signal());
}

COHORT_DECL bool SlotManager::on_exit(const WorkerRecord& record, const ExitStatus& status) {
    const bool was_leaving = record.voluntary || owner_.stopping();
    if (was_leaving && (has_crashed(status) || record.error))
        tell_end(LogLevel::warning, record, status, "it was leaving");
    const bool is_empty = slots_.vacate(record);
    if (is_empty && !slots_[record.slot].held && !group_restart_.concerns(record.group)) answer(record, status);
    return slots_[record.slot].occupied;
}

COHORT_DECL void SlotManager::answer(const WorkerRecord& record, const ExitStatus& status) {
    const bool was_leaving = record.voluntary || owner_.stopping();
    const bool is_final = owner_.stopping() || (record.voluntary && !record.to_be_replaced);
    const auto restart = slots_.follow(record, status, is_final);
    const bool given_up = !restart && slots_[record.slot].policy.has_given_up();
    if (!was_leaving && (given_up || !status.success())) {
        std::string next = "no other follows";
        if (given_up) next = "the slot is given up";
        if (restart) next = "the next one starts in " + std::to_string(restart->count()) + " ms";
        tell_end(given_up ? LogLevel::error : LogLevel::warning, record, status, next);
    }
    const bool concerns_all = options_.strategy == Strategy::one_for_all && !owner_.stopping() &&
                              !(record.to_be_replaced && status.success());
    if (concerns_all && (restart || given_up)) return restart_all(record, restart);
    if (restart) respawn_queue_.later({record.slot}, *restart);
}

/// Without a delay: none of them starts again.
COHORT_DECL void SlotManager::restart_all(const WorkerRecord& crashed, std::optional<std::chrono::milliseconds> delay) {
    const std::vector<unsigned> slots = slots_.wanted(crashed.group);
    std::vector<std::shared_ptr<WorkerRecord>> others;
    std::vector<WorkerId> ids;
    for (const auto& [id, record] : records_) {
        if (record->group != crashed.group || id == crashed.id) continue;
        others.push_back(record);
        ids.push_back(id);
    }
    owner_.interrupt_reload();
    group_restart_.begin(crashed.group, slots, std::move(ids), delay);
    for (const auto& other : others) owner_.ask_to_leave(*other);
    if (delay) return;
    for (const unsigned slot : slots) slots_[slot].wanted = false;
}

} // namespace cohort::detail
