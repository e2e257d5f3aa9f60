// SPDX-License-Identifier: MIT
// SlotManager: how many workers there are to be, as what, and who follows when one has gone (layer 4).
#pragma once

#include <cohort/detail/policy/group_restart.hpp>
#include <cohort/detail/process/slots.hpp>
#include <cohort/detail/supervise/respawn_queue.hpp>

#include <optional>

namespace cohort::detail {

/// Carries the restart policies out: starts successors, at once or later, for one slot or for a whole group.
class SlotManager final : RespawnQueue::Owner {
public:
    class Owner {
    public:
        /// Throws std::system_error.
        virtual WorkerId start(unsigned slot) = 0;
        /// How many endpoints the first worker of this slot is to share before it counts as ready.
        virtual unsigned wanted_endpoints(unsigned slot) const = 0;
        virtual void ask_to_leave(WorkerRecord& record) = 0;
        /// The successor that a reload has started is not needed any more.
        virtual void forget_successor(WorkerId successor) = 0;
        /// All slots start again: no reload goes on meanwhile.
        virtual void interrupt_reload() = 0;
        /// The slot is given up: drops what is kept for its next worker.
        virtual void release(unsigned slot) = 0;
        virtual bool stopping() const = 0;
        /// Some slots do not wait for a worker any more.
        virtual void on_slots_settled() = 0;

    protected:
        ~Owner() = default;
    };

    SlotManager(const asio::any_io_executor& executor, const Options& options, const WorkerRecords& records,
                Owner& owner);

    Slots& slots() noexcept { return slots_; }
    const Slots& slots() const noexcept { return slots_; }
    WorkerId add(WorkerSpec assignment);
    /// Sets how many workers the cluster has, those of groups not counted.
    void scale(unsigned workers);
    unsigned count() const { return static_cast<unsigned>(slots_.wanted(0).size()); }
    /// A number for Assignment::group.
    unsigned open_group() noexcept { return ++last_group_; }
    void close_group(unsigned group) {
        for (const unsigned slot : slots_.wanted(group)) dismiss(slot);
    }

    /// Decides what follows from the end of a worker, without doing it. Returns whether the slot will have another.
    bool on_exit(const WorkerRecord& record, const ExitStatus& status);
    /// Does what on_exit() has decided, once the record of the worker has been removed.
    void follow_up(const WorkerRecord& record) {
        if (const auto due = group_restart_.on_gone(record.group, record.id))
            respawn_queue_.later(due->slots, due->delay);
    }
    /// The slot is not held any more: it gets a worker if it has none.
    void refill(unsigned slot);
    /// The cluster ends: nothing is respawned any more.
    void stop() { respawn_queue_.stop(); }
    /// Whether no slot waits for its next worker.
    bool is_idle() const { return respawn_queue_.is_idle() && !slots_.is_one_held(); }

private:
    void respawn(unsigned slot) override {
        if (!owner_.stopping()) slots_[slot].current = owner_.start(slot);
    }
    void on_respawned() override { owner_.on_slots_settled(); }
    void dismiss(unsigned slot);
    void answer(const WorkerRecord& record, const ExitStatus& status);
    void restart_all(const WorkerRecord& crashed, std::optional<std::chrono::milliseconds> delay);

    const Options& options_;
    const WorkerRecords& records_;
    Owner& owner_;
    Slots slots_;
    RespawnQueue respawn_queue_;
    GroupRestart group_restart_;
    std::optional<WorkerSpec> last_; // of the cluster's own
    unsigned last_group_ = 0;
    bool adding_ = false; // a worker, in which a hook of the program is called
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/slot_manager.ipp>
#endif
