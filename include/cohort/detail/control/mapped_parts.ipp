// SPDX-License-Identifier: MIT
// The bodies of mapped_parts.hpp (layer 2).
#pragma once

#include <cohort/detail/control/mapped_parts.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/memfd.hpp>
#include <cohort/detail/system/system.hpp>

#include <cstddef>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>

namespace cohort::detail {

/// `at`: where, in place of what is mapped there; null: anywhere.
COHORT_DECL void* map_shared(int memory, std::size_t size, int protection, const void* at = nullptr) {
    void* const place = const_cast<void*>(at);
    void* const base = ::mmap(place, size, protection, MAP_SHARED | (at == nullptr ? 0 : MAP_FIXED), memory, 0);
    if (base == MAP_FAILED) throw_last_error("mmap");
    return base;
}

COHORT_DECL UniqueFd make_part(std::size_t size) {
    UniqueFd memory = make_memfd("cohort", size);
    seal(memory.get(), F_SEAL_SHRINK | F_SEAL_GROW);
    return memory;
}

COHORT_DECL void seal_for_others(int memory) { seal(memory, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL); }

COHORT_DECL MappedParts::MappedParts() : memory_(make_part(sizeof(MasterPart))) {
    master_ = static_cast<MasterPart*>(map_shared(memory_.get(), sizeof(MasterPart), PROT_READ | PROT_WRITE));
    seal_for_others(memory_.get());
    master_seen_ = static_cast<const MasterPart*>(map_shared(memory_.get(), sizeof(MasterPart), PROT_READ));
    own_ = &master_->shown;
}

COHORT_DECL MappedParts::MappedParts(UniqueFd master_part, UniqueFd own_part, std::uint32_t own, WorkerId worker) {
    master_seen_ = static_cast<const MasterPart*>(map_shared(master_part.get(), sizeof(MasterPart), PROT_READ));
    auto* const part = static_cast<WorkerPart*>(map_shared(own_part.get(), sizeof(WorkerPart), PROT_READ | PROT_WRITE));
    own_ = &part->shown;
    own_cells_ = part->cells.data();
    own_requests_ = &part->requests;
    seal_for_others(own_part.get());
    show(own, worker, std::move(own_part));
}

COHORT_DECL MappedParts::~MappedParts() {
    for (const auto& view : views_)
        if (view.load() != nullptr) ::munmap(view.load(), in_view * sizeof(ShownPart));
    for (WorkerPart* const part : parts_)
        if (part != nullptr) ::munmap(part, sizeof(WorkerPart));
    if (master_seen_ != nullptr) ::munmap(const_cast<MasterPart*>(master_seen_), sizeof(MasterPart));
    if (master_ != nullptr) ::munmap(master_, offsetof(MasterPart, shown));
    if (own_ != nullptr) ::munmap(own_, sizeof(ShownPart));
    if (own_cells_ != nullptr) ::munmap(own_cells_, sizeof(WorkerPart) - sizeof(ShownPart));
}

COHORT_DECL void MappedParts::become_worker(std::uint32_t own) {
    WorkerPart* const part = parts_[own];
    // The counters that the master has are of the same place and name here, with a share of this process.
    for (std::size_t i = 0; i != own_->counters.size(); ++i) {
        const NamedCounter& masters = own_->counters[i];
        if (masters.state.load(std::memory_order_relaxed) != NamedCounter::named) break;
        part->shown.counters[i].give(masters.name);
    }
    if (::mremap(&part->shown, sizeof(ShownPart), sizeof(ShownPart), MREMAP_MAYMOVE | MREMAP_FIXED, own_) == MAP_FAILED)
        throw_last_error("mremap");
    own_cells_ = part->cells.data();
    own_requests_ = &part->requests;
    for (WorkerPart* const each : parts_)
        if (each != nullptr && each != part) ::munmap(each, sizeof(WorkerPart));
    parts_.fill(nullptr);
    ::munmap(master_, offsetof(MasterPart, shown));
    master_ = nullptr;
    memories_.clear();
    memory_.reset();
}

COHORT_DECL ShownPart* MappedParts::place_in_view(std::uint32_t index) {
    auto& view = views_[index / in_view];
    if (view.load(std::memory_order_relaxed) == nullptr) {
        void* const base =
            ::mmap(nullptr, in_view * sizeof(ShownPart), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED) throw_last_error("mmap");
        view.store(static_cast<ShownPart*>(base), std::memory_order_release);
    }
    return view.load(std::memory_order_relaxed) + index % in_view;
}

COHORT_DECL void MappedParts::show(std::uint32_t index, WorkerId worker, UniqueFd part) {
    if (index >= worker_cells || !keeps_size(part.get(), sizeof(WorkerPart))) return;
    map_shared(part.get(), sizeof(ShownPart), PROT_READ, place_in_view(index));
    shown_[index].store(worker, std::memory_order_release);
}

COHORT_DECL const ShownPart* MappedParts::seen(std::uint32_t index) const noexcept {
    const WorkerId owner = master_seen_->owners[index].load(std::memory_order_acquire);
    if (owner == 0 || owner != shown_[index].load(std::memory_order_acquire)) return nullptr;
    return views_[index / in_view].load(std::memory_order_acquire) + index % in_view;
}

COHORT_DECL void MappedParts::map_worker(std::uint32_t index, WorkerId worker, bool maps_itself) {
    UniqueFd memory = make_part(sizeof(WorkerPart));
    if (parts_[index] != nullptr) ::munmap(std::exchange(parts_[index], nullptr), sizeof(WorkerPart));
    parts_[index] = static_cast<WorkerPart*>(map_shared(memory.get(), sizeof(WorkerPart), PROT_READ | PROT_WRITE));
    if (!maps_itself) seal_for_others(memory.get()); // first: then the next mapping cannot be made writable
    show(index, worker, duplicate(memory.get()));
    memories_[index] = std::make_shared<const UniqueFd>(std::move(memory));
}

COHORT_DECL int MappedParts::descriptor(std::uint32_t index) const noexcept {
    const auto found = memories_.find(index);
    return found == memories_.end() ? -1 : found->second->get();
}

COHORT_DECL std::shared_ptr<const UniqueFd> MappedParts::sealed(std::uint32_t index) const {
    return has_seals(descriptor(index), F_SEAL_FUTURE_WRITE) ? memories_.at(index) : nullptr;
}

} // namespace cohort::detail
