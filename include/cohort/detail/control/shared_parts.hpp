// SPDX-License-Identifier: MIT
// What lies in the memory that a cluster shares: a part that the master writes, and one for each worker (layer 2).
#pragma once

#include <cohort/counter.hpp>
#include <cohort/detail/control/request_table.hpp>
#include <cohort/stats.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

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

/// What one worker process reports about itself; its response counters have a cache line of their own. A worker may
/// write anything here: who reads a sum that others depend on reads it by count_of().
struct alignas(64) WorkerCell {
    static constexpr std::uint32_t no_limit = std::numeric_limits<std::uint32_t>::max();
    /// The final heartbeat: the process is exiting, and limits the time for that itself.
    static constexpr std::uint64_t last_beat = std::numeric_limits<std::uint64_t>::max();
    /// More than a process can count to: sums over all workers do not overflow, and are exact as a double, too.
    static constexpr std::uint64_t most_counted = std::uint64_t{1} << 53;
    /// More descriptors than a process has.
    static constexpr std::uint32_t most_open = std::uint32_t{1} << 21;

    /// Connections it has accepted and given back, ever.
    std::atomic<std::uint64_t> accepted;
    std::atomic<std::uint64_t> refused;
    /// Connections it has now, and the most it wants to have.
    std::atomic<std::uint32_t> open;
    std::atomic<std::uint32_t> limit;
    /// Incremented by its event loop, every `beat_interval` milliseconds. 0: not at all.
    std::atomic<std::uint64_t> heartbeat;
    std::atomic<std::uint32_t> beat_interval;
    /// How much later than it was to come the last heartbeat came, in microseconds.
    std::atomic<std::uint32_t> lag;
    /// Requests of any protocol.
    std::atomic<std::uint64_t> begun;
    std::atomic<std::uint64_t> ended;
    /// HTTP responses by class, 1xx to 5xx.
    alignas(64) std::array<std::atomic<std::uint64_t>, 5> responses;
    /// How many requests took how long (Latency), and all of them together, in nanoseconds.
    std::array<std::atomic<std::uint64_t>, Latency::buckets> latency;
    std::atomic<std::uint64_t> latency_sum;

    void count_response(int status) noexcept {
        const auto at = static_cast<std::size_t>(status / 100 - 1);
        if (at < responses.size()) responses[at].fetch_add(1, std::memory_order_relaxed);
    }
    void count_latency(std::uint64_t nanoseconds) noexcept {
        latency[Latency::bucket_of(std::chrono::nanoseconds(nanoseconds))].fetch_add(1, std::memory_order_relaxed);
        latency_sum.fetch_add(nanoseconds, std::memory_order_relaxed);
    }
    static std::uint64_t count_of(const std::atomic<std::uint64_t>& counter) noexcept {
        const std::uint64_t value = counter.load(std::memory_order_relaxed);
        return value < most_counted ? value : most_counted;
    }
    std::uint32_t open_connections() const noexcept {
        const std::uint32_t value = open.load(std::memory_order_relaxed);
        return value < most_open ? value : most_open;
    }
};

/// The state of the whole, written by the master only.
struct alignas(64) PageHead {
    /// Odd while a dead worker's counts are added to those of earlier dead workers.
    std::atomic<std::uint64_t> version;
    std::atomic<std::uint32_t> workers;
    /// The parts from this one on were never used.
    std::atomic<std::uint32_t> used;
    /// Workers that got a successor because they had ended.
    std::atomic<std::uint64_t> restarts;
    /// Reloads that have succeeded and failed.
    std::atomic<std::uint64_t> reloads;
    std::atomic<std::uint64_t> failed_reloads;
    std::atomic<std::uint64_t> generation;
    /// As they were a moment ago.
    std::atomic<std::uint64_t> queued;
    std::atomic<std::uint64_t> waiting_calls;
};
static_assert(sizeof(Cell) == 64 && sizeof(WorkerCell) == 256 && sizeof(PageHead) == 64 &&
              std::atomic<std::uint64_t>::is_always_lock_free);

/// What is mapped by itself begins at a multiple of every page size that Linux has.
inline constexpr std::size_t section = 65'536;

/// What one process counts, for all others to see.
struct ShownPart {
    std::array<NamedCounter, 256> counters; ///< those that it has named
    WorkerCell vitals;
    std::array<std::byte, section - (sizeof counters + sizeof vitals) % section> gap;
};

/// What one worker process writes. Only the pages that it touches take memory.
struct WorkerPart {
    ShownPart shown;
    std::array<Cell, 4096> cells; ///< by ListenerId
    RequestTable requests;        ///< for the master alone
};

/// What the master writes.
struct MasterPart {
    static constexpr std::size_t workers = 1024;

    PageHead head;
    WorkerCell dead;                                        ///< the sums of all that have ended
    std::array<std::atomic<std::uint32_t>, workers> owners; ///< whose each WorkerPart is; 0: nobody's
    std::array<std::atomic<std::uint32_t>, workers> slots;  ///< of those
    std::array<NamedCounter, 1024> dead_counters;
    std::array<std::byte,
               section - (sizeof head + sizeof dead + sizeof owners + sizeof slots + sizeof dead_counters) % section>
        gap;
    ShownPart shown; ///< of the master itself: its counters
};
static_assert(sizeof(ShownPart) == section && sizeof(WorkerPart) % section == 0 &&
              offsetof(MasterPart, shown) % section == 0);

} // namespace cohort::detail
