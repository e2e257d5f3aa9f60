// SPDX-License-Identifier: MIT
// Stats: how many connections and requests went where, as Master::stats() tells it (layer 1).
#pragma once

#include <cohort/endpoint.hpp>
#include <cohort/event.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cohort {

/// How many requests took how long, from their begin to the end of their answer.
struct Latency {
    /// The upper bound of each bucket but the last, which has none.
    static constexpr std::array<std::chrono::microseconds, 16> bounds{
        std::chrono::microseconds(100),       std::chrono::microseconds(250),
        std::chrono::microseconds(500),       std::chrono::microseconds(1'000),
        std::chrono::microseconds(2'500),     std::chrono::microseconds(5'000),
        std::chrono::microseconds(10'000),    std::chrono::microseconds(25'000),
        std::chrono::microseconds(50'000),    std::chrono::microseconds(100'000),
        std::chrono::microseconds(250'000),   std::chrono::microseconds(500'000),
        std::chrono::microseconds(1'000'000), std::chrono::microseconds(2'500'000),
        std::chrono::microseconds(5'000'000), std::chrono::microseconds(10'000'000)};
    static constexpr std::size_t buckets = bounds.size() + 1;

    std::array<std::uint64_t, buckets> counts{}; ///< of each bucket alone
    std::chrono::nanoseconds sum{};

    static constexpr std::size_t bucket_of(std::chrono::nanoseconds took) noexcept {
        std::size_t bucket = 0;
        while (bucket != bounds.size() && took > bounds[bucket]) ++bucket;
        return bucket;
    }
    std::uint64_t count() const noexcept;
    /// The upper bound of the bucket that has the request at this share of all, from 0 to 1, when they are ordered by
    /// what they took: 0.99 gives what 99 of 100 did not exceed. The last bucket gives microseconds::max(); no request
    /// gives 0.
    std::chrono::microseconds quantile(double share) const noexcept;
    Latency& operator+=(const Latency& other) noexcept;
};

/// Messages between the master and workers, on their channels; what goes between workers, and what is published, is not
/// among them.
struct MessageCounts {
    std::uint64_t sent = 0;           ///< by the master
    std::uint64_t received = 0;       ///< by the master
    std::uint64_t calls_made = 0;     ///< by the master
    std::uint64_t calls_received = 0; ///< by the master

    MessageCounts& operator+=(const MessageCounts& other) noexcept;
};

/// Sums over all workers that a slot has had since the master began: counters survive the death of a worker.
struct SlotStats {
    unsigned slot = 0;
    std::optional<WorkerId> worker{}; ///< the one it has now
    std::uint64_t accepted = 0;       ///< connections that its workers have begun to serve, however they came
    std::uint64_t delivered = 0;      ///< connections that the master has sent it
    std::uint64_t redelivered = 0;    ///< of these, sent on to others: it died, was stuck, or had no descriptors left
    std::uint64_t refused = 0;        ///< of these, given back: the worker was at its limit, or closed its listener
    std::uint64_t handed_over = 0;    ///< open connections that a worker has handed to others when it left
    std::uint32_t open = 0;           ///< connections that it has now
    std::uint64_t requests = 0;       ///< that its workers have begun (http::serve, Worker::begin_request)
    std::array<std::uint64_t, 5> responses{}; ///< HTTP responses of each class, 1xx to 5xx
    Latency latency{};
    MessageCounts messages{};
};

/// One living worker: to compare those of a new generation with those before, as Canary::healthy may.
struct WorkerStats {
    WorkerId worker = 0;
    unsigned slot = 0;
    std::uint64_t generation = 0;             ///< how many reloads had begun when it was started
    std::uint64_t requests = 0;               ///< that it has begun
    std::array<std::uint64_t, 5> responses{}; ///< of each class, 1xx to 5xx
    Latency latency{};
    MessageCounts messages{};
};

/// A request that has not been answered yet, as its worker tells it, also when that is stuck.
struct RequestInfo {
    WorkerId worker = 0;
    unsigned slot = 0;
    std::chrono::milliseconds age{};
    std::string what{};   ///< "GET /users/7": method and path, what is too long is cut; empty: it was not said
    std::string client{}; ///< its address; empty: not known

    /// For people: "GET /users/7, for 12 ms, from 192.0.2.1:4711"; "(not said), for 12 ms".
    std::string describe() const;
};

/// The kernel's queue of one listener: connections that nobody has accepted yet.
struct QueueStats {
    Endpoint endpoint;
    std::optional<unsigned> slot{}; ///< whose listener it is; empty: everybody's
    std::uint32_t length = 0;
    std::uint32_t limit = 0; ///< listen(2)'s backlog; 0: the kernel does not tell (Unix sockets)
};

/// Sums over all workers since the master began, dead ones included; Worker::totals() and Master::totals() read them
/// without a message.
struct Totals {
    std::uint32_t workers = 0;  ///< processes that are there now, those that are leaving too
    std::uint64_t accepted = 0; ///< connections
    std::uint64_t refused = 0;  ///< connections that a worker has given back
    std::uint64_t open = 0;     ///< connections that there are now
    std::uint64_t requests = 0; ///< begun so far
    std::uint64_t answered = 0; ///< of these, ended; all of a dead worker count as ended

    /// HTTP responses: how many of each class, 1xx to 5xx.
    std::array<std::uint64_t, 5> responses{};
    Latency latency{}; ///< of all requests that have ended

    std::uint64_t restarts = 0; ///< workers that got a successor because they had ended
    std::uint64_t reloads = 0;  ///< that have succeeded
    std::uint64_t failed_reloads = 0;
    std::uint64_t generation = 0; ///< reloads that have begun

    /// Connections that nobody has accepted yet, and calls of Master::call(request) that wait for a worker. In a
    /// worker: as they were a second or two before, or when the last worker ended.
    std::uint64_t queued = 0;
    std::uint64_t waiting_calls = 0;

    /// A worker that is there now.
    struct Living {
        WorkerId worker = 0;
        unsigned slot = 0;
        std::uint32_t open = 0;          ///< connections
        std::uint64_t requests = 0;      ///< begun so far
        std::uint64_t in_progress = 0;   ///< of these, not ended
        std::chrono::microseconds lag{}; ///< how late its event loop came to its last heartbeat (Liveness::interval)
    };
    std::vector<Living> living{};

    /// A value of the program's own (Worker::counter).
    struct Count {
        std::string name;
        std::int64_t value = 0;
    };
    std::vector<Count> counts{};
};

struct Stats {
    std::vector<SlotStats> slots;
    std::vector<QueueStats> queues;
    std::vector<WorkerStats> workers; ///< those that live

    /// Connections that are open, and those that wait to be accepted.
    std::uint64_t load() const noexcept;
    /// Of all slots together; `slot` and `worker` mean nothing.
    SlotStats total() const noexcept;
    /// The workers of one generation together; `worker` and `slot` mean nothing.
    WorkerStats of_generation(std::uint64_t generation) const noexcept;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/stats.ipp>
#endif
