// SPDX-License-Identifier: MIT
// SharedPage: counters that a worker and the master share, without a message (layer 2).
#pragma once

#include <cohort/counter.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control/shared_parts.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/stats.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace cohort::detail {

/// Memory that all processes of the cluster read, and in which each writes its own part only: the master one, each
/// worker process another. A part is a memfd(2) that is sealed against writing once its owner has mapped it
/// (F_SEAL_FUTURE_WRITE, fcntl(2)): no other mapping becomes writable, whatever a process tries and whichever
/// descriptor it has. A process gets a new one, so who outlives a worker writes to nobody else's. What a dead worker
/// has counted stays readable.
class SharedPage final : public SharedCounters {
public:
    static constexpr std::size_t cells = std::tuple_size_v<decltype(WorkerPart::cells)>;
    static constexpr std::size_t worker_cells = MasterPart::workers;
    static constexpr std::size_t counters = std::tuple_size_v<decltype(ShownPart::counters)>;

    /// The master's side.
    SharedPage();
    /// A worker's side after Spawn::exec. The mappings stay, the descriptors go.
    SharedPage(UniqueFd master_part, UniqueFd own_part, std::uint32_t own, WorkerId worker);
    SharedPage(const SharedPage&) = delete;
    SharedPage& operator=(const SharedPage&) = delete;
    ~SharedPage();

    /// In a forked worker: from now on it writes to its own part only. Counters that the master had count there, too.
    void become_worker(std::uint32_t own);

    /// A cell that nobody uses, in the part of whichever worker has the listener. Throws Errc::no_free_slot.
    std::uint32_t acquire();
    void release(std::uint32_t listener) { free_.push_back(listener); }

    /// A part for this worker, all zero, without a limit. `maps_itself`: its program is started anew. A forked one has
    /// the part already. Throws Errc::no_free_slot, EMFILE, ENOMEM.
    std::uint32_t acquire_worker(WorkerId worker, unsigned slot = 0, bool maps_itself = false);
    /// The process is gone; what it has counted stays in the totals.
    void release_worker(std::uint32_t index);

    /// Of the part that the master writes, and of that of a worker until forget_descriptor(); -1: there is none.
    int descriptor() const noexcept { return memory_.get(); }
    int descriptor(std::uint32_t index) const noexcept;
    void forget_descriptor(std::uint32_t index) { given_.at(index).memory.reset(); }
    /// Whether others may be given the part of this worker. Until then they could write to it.
    bool is_sealed(std::uint32_t index) const noexcept;
    /// In a worker: the part of another, which is sealed. It takes the place of an earlier one with this number.
    void show(std::uint32_t index, WorkerId worker, UniqueFd part);

    /// By any process at any time. What a worker cannot have counted is counted as less.
    Totals totals() const;
    /// This process's share of the counter of this name, made when there is none yet. Throws std::invalid_argument for
    /// what is no name, and Errc::no_free_slot.
    Counter counter(std::string_view name);
    /// Of all processes together.
    COHORT_DECL std::int64_t value_of(const NamedCounter& counter) const noexcept override;
    COHORT_DECL void set(NamedCounter& counter, std::int64_t to) noexcept override;

    /// `listener` is below `cells`. For the master any worker's, for a worker its own.
    Cell& cell(std::uint32_t index, std::uint32_t listener) noexcept {
        return master_ != nullptr ? parts_[index]->cells[listener] : own_cells_[listener];
    }
    /// `index` is below `worker_cells`, and acquired.
    WorkerCell& worker(std::uint32_t index) noexcept {
        return master_ != nullptr ? parts_[index]->shown.vitals : own_->vitals;
    }
    /// The whole of it, for the master.
    WorkerPart& part(std::uint32_t index) noexcept { return *parts_[index]; }

private:
    /// A part that a worker has.
    struct Given {
        UniqueFd memory;
        unsigned slot = 0;
    };
    struct CounterSum;

    /// Parts of others are seen in address space that is reserved for so many at a time.
    static constexpr std::size_t in_view = 64;

    /// What this worker counts; null: there is none, or this process does not see it.
    const ShownPart* seen(std::uint32_t index) const noexcept;
    ShownPart* place_in_view(std::uint32_t index);
    Totals sum() const noexcept;
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

    UniqueFd memory_;
    MasterPart* master_ = nullptr; // null in a worker
    const MasterPart* master_seen_ = nullptr;
    ShownPart* own_ = nullptr;                      // of this process; at the same place in a forked worker
    Cell* own_cells_ = nullptr;                     // null in the master
    std::array<WorkerPart*, worker_cells> parts_{}; // the master's mappings
    std::array<std::atomic<ShownPart*>, worker_cells / in_view> views_{}; // mappings that cannot be written to
    std::array<std::atomic<WorkerId>, worker_cells> shown_{};             // whose parts these are
    std::map<std::uint32_t, Given> given_;
    std::map<unsigned, unsigned> names_of_; // how many names each slot's dead workers have brought
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> free_workers_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/shared_page.ipp>
#endif
