// SPDX-License-Identifier: MIT
// Stats: how many connections and requests went where, as Master::stats() tells it (layer 1).
#pragma once

#include <cohort/endpoint.hpp>
#include <cohort/event.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cohort {

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

    /// Connections that are open, and those that wait to be accepted.
    std::uint64_t load() const noexcept;
    /// Of all slots together; `slot` and `worker` mean nothing.
    SlotStats total() const noexcept;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/stats.ipp>
#endif
