// SPDX-License-Identifier: MIT
// Staff: how many workers there are to be, as what, and who follows when one has gone (layer 4).
#pragma once

#include <cohort/detail/policy/group_restart.hpp>
#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/supervise/respawn_queue.hpp>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <vector>

namespace cohort::detail {

class SlotManager {
public:
    struct Owner {
        std::function<WorkerId(unsigned slot)> start;
        std::function<unsigned(unsigned slot)> endpoints; ///< that its first worker is to share, to count as ready
        std::function<void(WorkerRecord&)> ask_to_leave;
        std::function<void(WorkerId successor)> forget; ///< it is not needed any more
        std::function<void()> all_restart;              ///< no reload goes on meanwhile
        std::function<void(unsigned slot)> release;     ///< nothing is to be kept for its next worker
        std::function<bool()> stopping;
        std::function<void()> looked; ///< some slots do not wait for a worker any more
    };

    SlotManager(asio::io_context& context, const Options& options, const WorkerRecords& records, Owner owner)
        : options_(options),
          records_(records),
          owner_(std::move(owner)),
          respawn_queue_(context, slots_, options.backoff.first,
                         {[this](unsigned slot) { restart(slot); }, [this] { owner_.looked(); }}) {}

    Slots& slots() noexcept { return slots_; }
    const Slots& slots() const noexcept { return slots_; }
    WorkerId add(WorkerSpec assignment);
    /// So many of the cluster's own.
    void scale(unsigned workers);
    unsigned count() const { return static_cast<unsigned>(slots_.wanted(0).size()); }
    /// A number for Assignment::group.
    unsigned open_group() noexcept { return ++last_group_; }
    void close_group(unsigned group) {
        for (const unsigned slot : slots_.wanted(group)) dismiss(slot);
    }

    /// Decides what follows, but does not begin it. Gives whether the slot will have another.
    bool on_exit(const WorkerRecord& record, const ExitStatus& status);
    /// Begins it: the record of the worker is not there any more.
    void follow_up(const WorkerRecord& record) {
        if (const auto due = group_restart_.on_gone(record.group, record.id))
            respawn_queue_.later(due->slots, due->delay);
    }
    /// The cluster ends: no slot waits any longer.
    void stop() { respawn_queue_.stop(); }
    /// No slot waits for its next worker.
    bool is_idle() const noexcept { return respawn_queue_.is_idle(); }

private:
    void restart(unsigned slot) {
        if (!owner_.stopping()) slots_[slot].current = owner_.start(slot);
    }
    void dismiss(unsigned slot);
    void answer(const WorkerRecord& record, const ExitStatus& status);
    void restart_all(const WorkerRecord& crashed, std::optional<std::chrono::milliseconds> delay);

    const Options& options_;
    const WorkerRecords& records_;
    Owner owner_;
    Slots slots_;
    RespawnQueue respawn_queue_;
    GroupRestart group_restart_;
    std::optional<WorkerSpec> last_; // of the cluster's own
    unsigned last_group_ = 0;
};

inline WorkerId SlotManager::add(WorkerSpec assignment) {
    const unsigned slot = slots_.add(std::move(assignment), RestartPolicy(options_.restart, options_.backoff));
    slots_[slot].wanted_endpoints = owner_.endpoints(slot);
    slots_[slot].current = owner_.start(slot);
    if (slots_[slot].assignment.group == 0) last_ = slots_[slot].assignment;
    return slots_[slot].current;
}

inline void SlotManager::scale(unsigned workers) {
    if (owner_.stopping()) throw std::system_error(make_error_code(Errc::stopping));
    if (!last_) throw std::system_error(make_error_code(Errc::no_such_worker), "nothing was spawned yet");
    std::vector<unsigned> slots = slots_.wanted(0);
    for (std::size_t count = slots.size(); count < workers; ++count) add(*last_);
    for (; slots.size() > workers; slots.pop_back()) dismiss(slots.back());
}

/// Its workers are asked to leave; if it waits for one, it does so no longer.
inline void SlotManager::dismiss(unsigned slot) {
    Slot& place = slots_[slot];
    place.wanted = false;
    group_restart_.forget(place.assignment.group, slot);
    respawn_queue_.forget(slot);
    owner_.forget(place.successor);
    for (const WorkerId worker : {place.current, place.successor})
        if (const auto found = records_.find(worker); found != records_.end()) owner_.ask_to_leave(*found->second);
    if (!place.is_vacant()) return;
    place.occupied = false;
    owner_.release(slot);
    owner_.looked();
}

inline bool SlotManager::on_exit(const WorkerRecord& record, const ExitStatus& status) {
    if (slots_.vacate(record) && !group_restart_.concerns(record.group)) answer(record, status);
    return slots_[record.slot].occupied;
}

inline void SlotManager::answer(const WorkerRecord& record, const ExitStatus& status) {
    const bool stopping = owner_.stopping();
    const auto restart = slots_.follow(record, status, record.voluntary || stopping);
    const bool given_up = !restart && slots_[record.slot].policy.has_given_up();
    if (options_.strategy == Strategy::one_for_all && !stopping && (restart || given_up))
        return restart_all(record, restart);
    if (restart) respawn_queue_.later({record.slot}, *restart);
}

/// Without a delay: none of them starts again.
inline void SlotManager::restart_all(const WorkerRecord& crashed, std::optional<std::chrono::milliseconds> delay) {
    const std::vector<unsigned> slots = slots_.wanted(crashed.group);
    std::vector<std::shared_ptr<WorkerRecord>> others;
    std::set<WorkerId> ids;
    for (const auto& [id, record] : records_) {
        if (record->group != crashed.group || id == crashed.id) continue;
        others.push_back(record);
        ids.insert(id);
    }
    owner_.all_restart();
    group_restart_.begin(crashed.group, {slots.begin(), slots.end()}, std::move(ids), delay);
    for (const auto& other : others) owner_.ask_to_leave(*other);
    if (delay) return;
    for (const unsigned slot : slots) slots_[slot].wanted = false;
}

} // namespace cohort::detail
