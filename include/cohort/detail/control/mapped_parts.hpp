// SPDX-License-Identifier: MIT
// MappedParts: which parts of the shared page a process maps, and which of them it can write to (layer 2).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/control/shared_parts.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/event.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

namespace cohort::detail {

/// Memory that all processes of the cluster read, and in which each writes its own part only: the master one, each
/// worker process another. A part is a memfd(2) that is sealed against writing once its owner has mapped it
/// (F_SEAL_FUTURE_WRITE, fcntl(2)): no other mapping becomes writable, whatever a process tries and whichever
/// descriptor it has. A process gets a new one, so who outlives a worker writes to nobody else's.
class MappedParts {
public:
    static constexpr std::size_t worker_cells = MasterPart::workers;

    /// The master's side.
    MappedParts();
    /// A worker's side after Spawn::exec. The mappings stay, the descriptors go.
    MappedParts(UniqueFd master_part, UniqueFd own_part, std::uint32_t own, WorkerId worker);
    MappedParts(const MappedParts&) = delete;
    MappedParts& operator=(const MappedParts&) = delete;
    ~MappedParts();

    /// In a forked worker: from now on it writes to its own part only. Counters that the master had count there, too.
    void become_worker(std::uint32_t own);

    /// Of the part that the master writes, and of that of a worker until forget_descriptor(); -1: there is none.
    int descriptor() const noexcept { return memory_.get(); }
    int descriptor(std::uint32_t index) const noexcept;
    /// It stays open while somebody else has it from sealed().
    void forget_descriptor(std::uint32_t index) { memories_.erase(index); }
    /// The part of this worker, which others may be given. Null: they could write to it as yet, or it was forgotten.
    std::shared_ptr<const UniqueFd> sealed(std::uint32_t index) const;
    /// In a worker: the part of another, which is sealed. It takes the place of an earlier one with this number.
    void show(std::uint32_t index, WorkerId worker, UniqueFd part);

    /// `listener` is below the number of cells. For the master any worker's, for a worker its own.
    Cell& cell(std::uint32_t index, std::uint32_t listener) noexcept {
        return master_ != nullptr ? parts_[index]->cells[listener] : own_cells_[listener];
    }
    /// `index` is below `worker_cells`, and acquired.
    WorkerCell& worker(std::uint32_t index) noexcept {
        return master_ != nullptr ? parts_[index]->shown.vitals : own_->vitals;
    }
    /// As worker().
    RequestTable& requests(std::uint32_t index) noexcept {
        return master_ != nullptr ? parts_[index]->requests : *own_requests_;
    }
    /// The whole of it, for the master.
    WorkerPart& part(std::uint32_t index) noexcept { return *parts_[index]; }

protected:
    /// Maps a new part, all zero, for this worker. `maps_itself`: its program is started anew. A forked one has the
    /// part already. Throws EMFILE, ENOMEM.
    void map_worker(std::uint32_t index, WorkerId worker, bool maps_itself);

    /// Null in a worker.
    MasterPart* master() noexcept { return master_; }
    bool is_master() const noexcept { return master_ != nullptr; }
    const MasterPart& master_seen() const noexcept { return *master_seen_; }
    /// Of this process.
    ShownPart& own() noexcept { return *own_; }
    const ShownPart& own() const noexcept { return *own_; }
    /// What this worker counts; null: there is none, or this process does not see it.
    const ShownPart* seen(std::uint32_t index) const noexcept;

private:
    /// Parts of others are seen in address space that is reserved for so many at a time.
    static constexpr std::size_t in_view = 64;

    ShownPart* place_in_view(std::uint32_t index);

    UniqueFd memory_;
    MasterPart* master_ = nullptr;
    const MasterPart* master_seen_ = nullptr;
    ShownPart* own_ = nullptr;                                            // at the same place in a forked worker
    Cell* own_cells_ = nullptr;                                           // null in the master
    RequestTable* own_requests_ = nullptr;                                // likewise
    std::array<WorkerPart*, worker_cells> parts_{};                       // the master's mappings
    std::array<std::atomic<ShownPart*>, worker_cells / in_view> views_{}; // mappings that cannot be written to
    std::array<std::atomic<WorkerId>, worker_cells> shown_{};             // whose parts these are
    std::map<std::uint32_t, std::shared_ptr<const UniqueFd>> memories_;   // of workers
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/mapped_parts.ipp>
#endif
