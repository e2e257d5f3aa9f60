// SPDX-License-Identifier: MIT
// SharedPage: counters that a worker writes and the master reads, without a message (layer 2).
#pragma once

#include <cohort/detail/posix.hpp>
#include <cohort/error.hpp>

#include <atomic>
#include <cstdint>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>

namespace cohort::detail {

/// One cache line, for one listener of one worker.
struct alignas(64) Cell {
    /// How many of the connections handed over were taken, or given back, in their order. The worker writes it.
    std::atomic<std::uint64_t> taken;
    /// Set by the master when it waits for `taken` to move; the worker answers with a message and clears it.
    std::atomic<std::uint32_t> wanted;
};
static_assert(sizeof(Cell) == 64 && std::atomic<std::uint64_t>::is_always_lock_free);

/// A sealed memfd(2) of cells that every process of the cluster maps. The master gives cells out and takes them back;
/// what a dead worker has counted stays readable.
class SharedPage {
public:
    static constexpr std::size_t cells = 4096;
    static constexpr std::size_t bytes = cells * sizeof(Cell);

    SharedPage() : memory_(::memfd_create("cohort", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
        if (!memory_) throw_last_error("memfd_create");
        if (::ftruncate(memory_.get(), bytes) != 0) throw_last_error("ftruncate");
        if (::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
            throw_last_error("fcntl");
        map();
        free_.reserve(cells);
        for (std::size_t i = cells; i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
    }

    /// The worker's side after Spawn::exec. The mapping stays, the descriptor goes.
    explicit SharedPage(UniqueFd memory) : memory_(std::move(memory)) {
        map();
        memory_.reset();
    }

    SharedPage(const SharedPage&) = delete;
    SharedPage& operator=(const SharedPage&) = delete;
    ~SharedPage() { ::munmap(base_, bytes); }

    int descriptor() const noexcept { return memory_.get(); }

    /// A cell nobody uses, all zero. Throws Errc::no_free_slot.
    std::uint32_t acquire() {
        if (free_.empty()) throw std::system_error(make_error_code(Errc::no_free_slot));
        const std::uint32_t index = free_.back();
        free_.pop_back();
        (*this)[index].taken.store(0, std::memory_order_relaxed);
        (*this)[index].wanted.store(0, std::memory_order_relaxed);
        return index;
    }
    void release(std::uint32_t index) { free_.push_back(index); }

    /// `index` is below `cells`.
    Cell& operator[](std::uint32_t index) noexcept { return static_cast<Cell*>(base_)[index]; }

private:
    void map() {
        base_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
        if (base_ == MAP_FAILED) throw_last_error("mmap");
    }

    UniqueFd memory_;
    void* base_ = nullptr;
    std::vector<std::uint32_t> free_;
};

} // namespace cohort::detail
