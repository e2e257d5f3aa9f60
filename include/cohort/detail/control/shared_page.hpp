// SPDX-License-Identifier: MIT
// SharedPage: counters that a worker and the master share, without a message (layer 2).
#pragma once

#include <cohort/counter.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control/mapped_parts.hpp>
#include <cohort/stats.hpp>

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace cohort::detail {

/// What the processes of a cluster count. Each writes to its own part (MappedParts); what a dead worker has counted
/// stays readable.
class SharedPage final : public MappedParts, public SharedCounters {
public:
    static constexpr std::size_t cells = std::tuple_size_v<decltype(WorkerPart::cells)>;
    static constexpr std::size_t counters = std::tuple_size_v<decltype(ShownPart::counters)>;

    /// The master's side.
    SharedPage();
    /// A worker's side after Spawn::exec.
    using MappedParts::MappedParts;

    /// A cell that nobody uses, in the part of whichever worker has the listener. Throws Errc::no_free_slot.
    std::uint32_t acquire();
    void release(std::uint32_t listener) { free_.push_back(listener); }
    std::size_t free_cells() const noexcept { return free_.size(); }

    /// A part for this worker, all zero, without a limit. `maps_itself`: its program is started anew. A forked one has
    /// the part already. Throws Errc::no_free_slot, EMFILE, ENOMEM.
    std::uint32_t acquire_worker(WorkerId worker, unsigned slot = 0, bool maps_itself = false);
    /// The process is gone; what it has counted stays in the totals.
    void release_worker(std::uint32_t index);

    /// What the master alone knows.
    void note_restarts(std::uint64_t so_far) noexcept {
        master()->head.restarts.store(so_far, std::memory_order_relaxed);
    }
    void count_reload(bool succeeded) noexcept {
        PageHead& head = master()->head;
        (succeeded ? head.reloads : head.failed_reloads).fetch_add(1, std::memory_order_relaxed);
    }
    void begin_generation(std::uint64_t number) noexcept {
        master()->head.generation.store(number, std::memory_order_relaxed);
    }

    void note_queues(std::uint64_t connections, std::uint64_t calls) noexcept {
        master()->head.queued.store(connections, std::memory_order_relaxed);
        master()->head.waiting_calls.store(calls, std::memory_order_relaxed);
    }

    /// Of one worker, for the master.
    Totals::Living living(std::uint32_t index) noexcept { return to_living(index, worker(index)); }
    /// By any process at any time. What a worker cannot have counted is counted as less.
    Totals totals() const;
    /// This process's share of the counter of this name, made when there is none yet. Throws std::invalid_argument for
    /// what is no name, or too much like one that this process or the master has given, and Errc::no_free_slot.
    Counter counter(std::string_view name);
    /// Of all processes together.
    COHORT_DECL std::int64_t value_of(const NamedCounter& counter) const noexcept override;
    COHORT_DECL void set(NamedCounter& counter, std::int64_t to) noexcept override;

private:
    struct CounterSum;

    Totals sum() const;
    Totals::Living to_living(std::uint32_t index, const WorkerCell& cell) const noexcept;
    template <class Read>
    auto consistently(Read read) const;
    void add_counters(Totals& totals) const;
    CounterSum sum_of(const NamedCounter& counter) const noexcept;
    /// Throws std::invalid_argument.
    void refuse_if_nearly_known(const CounterName& wanted) const;
    /// The tables of all processes that are or were there.
    template <class Visit>
    void for_each_table(Visit visit) const;
    void keep_counts(WorkerCell& cell) noexcept;
    void keep_counters(std::uint32_t index);
    NamedCounter* kept_counter(const CounterName& name, unsigned slot) noexcept;

    std::map<std::uint32_t, unsigned> slots_; // of the workers that have parts
    std::map<unsigned, unsigned> names_of_;   // how many names each slot's dead workers have brought
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> free_workers_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/shared_page.ipp>
#endif
