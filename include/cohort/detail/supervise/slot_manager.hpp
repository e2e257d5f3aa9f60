// SPDX-License-Identifier: MIT
// Staff: how many workers there are to be, as what, and who follows when one has gone (layer 4).
#pragma once

#include <cohort/detail/policy/group_restart.hpp>
#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/supervise/respawn_queue.hpp>

#include <functional>
#include <optional>

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

    SlotManager(asio::io_context& context, const Options& options, const WorkerRecords& records, Owner owner);

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

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/slot_manager.ipp>
#endif
