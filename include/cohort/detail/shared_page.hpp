// SPDX-License-Identifier: MIT
// SharedPage: counters that a worker and the master share, without a message (layer 2).
#pragma once

#include <cohort/detail/posix.hpp>
#include <cohort/error.hpp>

#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>

namespace cohort::detail {

/// One cache line, for one listener of one worker.
struct alignas(64) Cell {
    /// How many of the connections handed over are settled, in their order: taken, given back, or taken away. Whoever
    /// moves it from n to n + 1 owns connection n: the worker by taking one, the master by taking all back that a stuck
    /// worker has not touched.
    std::atomic<std::uint64_t> taken;
    /// Connections of this listener that the worker has begun to serve, however they came.
    std::atomic<std::uint64_t> accepted;
    /// Set by the master when it waits for `taken` to move; the worker answers with a message and clears it.
    std::atomic<std::uint32_t> wanted;
};

/// One cache line, for what one worker process says of itself.
struct alignas(64) WorkerCell {
    static constexpr std::uint32_t no_limit = std::numeric_limits<std::uint32_t>::max();
    /// A heartbeat that is the last: the process ends, and sees by itself that this does not take too long.
    static constexpr std::uint64_t last_beat = std::numeric_limits<std::uint64_t>::max();

    /// Connections it has accepted and given back, ever.
    std::atomic<std::uint64_t> accepted;
    std::atomic<std::uint64_t> refused;
    /// Connections it has now, and the most it wants to have.
    std::atomic<std::uint32_t> open;
    std::atomic<std::uint32_t> limit;
    /// Its event loop has turned; it is to say so every so many milliseconds. 0: not at all.
    std::atomic<std::uint64_t> heartbeat;
    std::atomic<std::uint32_t> beat_interval;
    /// Requests of any protocol.
    std::atomic<std::uint64_t> begun;
    std::atomic<std::uint64_t> ended;
};
static_assert(sizeof(Cell) == 64 && sizeof(WorkerCell) == 64 && std::atomic<std::uint64_t>::is_always_lock_free);

/// A sealed memfd(2) of cells that every process of the cluster maps. The master gives cells out and takes them back;
/// what a dead worker has counted stays readable.
class SharedPage {
public:
    static constexpr std::size_t cells = 4096;
    static constexpr std::size_t worker_cells = 1024;
    static constexpr std::size_t bytes = cells * sizeof(Cell) + worker_cells * sizeof(WorkerCell);

    SharedPage() : memory_(::memfd_create("cohort", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
        if (!memory_) throw_last_error("memfd_create");
        if (::ftruncate(memory_.get(), bytes) != 0) throw_last_error("ftruncate");
        if (::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
            throw_last_error("fcntl");
        map();
        free_ = numbers(cells);
        free_workers_ = numbers(worker_cells);
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
        const std::uint32_t index = pop(free_);
        Cell& cell = (*this)[index];
        cell.taken.store(0, std::memory_order_relaxed);
        cell.accepted.store(0, std::memory_order_relaxed);
        cell.wanted.store(0, std::memory_order_relaxed);
        return index;
    }
    void release(std::uint32_t index) { free_.push_back(index); }

    /// The same for a worker, without a limit.
    std::uint32_t acquire_worker() {
        const std::uint32_t index = pop(free_workers_);
        WorkerCell& cell = worker(index);
        cell.accepted.store(0, std::memory_order_relaxed);
        cell.refused.store(0, std::memory_order_relaxed);
        cell.open.store(0, std::memory_order_relaxed);
        cell.limit.store(WorkerCell::no_limit, std::memory_order_relaxed);
        cell.heartbeat.store(0, std::memory_order_relaxed);
        cell.beat_interval.store(0, std::memory_order_relaxed);
        cell.begun.store(0, std::memory_order_relaxed);
        cell.ended.store(0, std::memory_order_relaxed);
        return index;
    }
    void release_worker(std::uint32_t index) { free_workers_.push_back(index); }

    /// `index` is below `cells`.
    Cell& operator[](std::uint32_t index) noexcept { return static_cast<Cell*>(base_)[index]; }
    /// `index` is below `worker_cells`.
    WorkerCell& worker(std::uint32_t index) noexcept {
        return reinterpret_cast<WorkerCell*>(static_cast<Cell*>(base_) + cells)[index];
    }

private:
    static std::vector<std::uint32_t> numbers(std::size_t count) {
        std::vector<std::uint32_t> all(count);
        for (std::size_t i = 0; i < count; ++i) all[i] = static_cast<std::uint32_t>(count - 1 - i);
        return all;
    }
    static std::uint32_t pop(std::vector<std::uint32_t>& free) {
        if (free.empty()) throw std::system_error(make_error_code(Errc::no_free_slot));
        const std::uint32_t index = free.back();
        free.pop_back();
        return index;
    }
    void map() {
        base_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
        if (base_ == MAP_FAILED) throw_last_error("mmap");
    }

    UniqueFd memory_;
    void* base_ = nullptr;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> free_workers_;
};

} // namespace cohort::detail
