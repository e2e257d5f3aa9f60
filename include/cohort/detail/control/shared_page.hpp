// SPDX-License-Identifier: MIT
// SharedPage: counters that a worker and the master share, without a message (layer 2).
#pragma once

#include <cohort/counter.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/error.hpp>
#include <cohort/stats.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

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

/// What one worker process reports about itself; its response counters have a cache line of their own.
struct alignas(64) WorkerCell {
    static constexpr std::uint32_t no_limit = std::numeric_limits<std::uint32_t>::max();
    /// The final heartbeat: the process is exiting, and limits the time for that itself.
    static constexpr std::uint64_t last_beat = std::numeric_limits<std::uint64_t>::max();

    /// Connections it has accepted and given back, ever.
    std::atomic<std::uint64_t> accepted;
    std::atomic<std::uint64_t> refused;
    /// Connections it has now, and the most it wants to have.
    std::atomic<std::uint32_t> open;
    std::atomic<std::uint32_t> limit;
    /// Incremented by its event loop, every `beat_interval` milliseconds. 0: not at all.
    std::atomic<std::uint64_t> heartbeat;
    std::atomic<std::uint32_t> beat_interval;
    /// Requests of any protocol.
    std::atomic<std::uint64_t> begun;
    std::atomic<std::uint64_t> ended;
    /// HTTP responses by class, 1xx to 5xx.
    alignas(64) std::array<std::atomic<std::uint64_t>, 5> responses;

    void count_response(int status) noexcept {
        const auto at = static_cast<std::size_t>(status / 100 - 1);
        if (at < responses.size()) responses[at].fetch_add(1, std::memory_order_relaxed);
    }
};

/// The state of the page as a whole. Written by the master only.
struct alignas(64) PageHead {
    /// Odd while a dead worker's counts are added to those of earlier dead workers.
    std::atomic<std::uint64_t> version;
    std::atomic<std::uint32_t> workers;
    /// Worker cells from this one on were never used.
    std::atomic<std::uint32_t> used;
};
static_assert(sizeof(Cell) == 64 && sizeof(WorkerCell) == 128 && sizeof(PageHead) == 64 &&
              std::atomic<std::uint64_t>::is_always_lock_free);

/// A sealed memfd(2) of cells that every process of the cluster maps. The master gives cells out and takes them back;
/// what a dead worker has counted stays readable.
class SharedPage {
public:
    static constexpr std::size_t cells = 4096;
    static constexpr std::size_t worker_cells = 1024;
    static constexpr std::size_t counters = 256;
    static constexpr std::size_t bytes = cells * sizeof(Cell) + (worker_cells + 1) * sizeof(WorkerCell) +
                                         sizeof(PageHead) + counters * sizeof(NamedCounter);

    SharedPage();

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
    std::uint32_t acquire();
    void release(std::uint32_t index) { free_.push_back(index); }

    /// The same for a worker, without a limit.
    std::uint32_t acquire_worker();
    /// The process is gone; what it has counted stays in the totals.
    void release_worker(std::uint32_t index);

    /// By any process at any time.
    Totals totals();
    /// The counter of this name, made when there is none yet. Throws std::invalid_argument for what is no name, and
    /// Errc::no_free_slot.
    Counter counter(std::string_view name);

    /// `index` is below `cells`.
    Cell& operator[](std::uint32_t index) noexcept { return static_cast<Cell*>(base_)[index]; }
    /// `index` is below `worker_cells`.
    WorkerCell& worker(std::uint32_t index) noexcept {
        return reinterpret_cast<WorkerCell*>(static_cast<Cell*>(base_) + cells)[index];
    }

private:
    WorkerCell& of_the_dead() noexcept { return worker(worker_cells); }
    PageHead& head() noexcept { return *reinterpret_cast<PageHead*>(&worker(worker_cells + 1)); }
    NamedCounter* named_counters() noexcept { return reinterpret_cast<NamedCounter*>(&head() + 1); }
    Totals sum() noexcept;

    static std::vector<std::uint32_t> numbers(std::size_t count);
    static std::uint32_t pop(std::vector<std::uint32_t>& free);
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

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/shared_page.ipp>
#endif
