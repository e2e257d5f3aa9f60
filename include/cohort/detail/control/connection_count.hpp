// SPDX-License-Identifier: MIT
// ConnectionCount: how many connections and requests a worker has, where its master can see it (layer 3).
#pragma once

#include <cohort/detail/control/counted_connection.hpp>
#include <cohort/detail/control/shared_page.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace cohort::detail {

/// One for each worker process; it outlives all of its connections, which may end on any thread.
class ConnectionCount {
public:
    /// Calls `on_room` on the thread of a connection that ends while the worker is full, and in set_limit().
    ConnectionCount(WorkerCell& cell, RequestTable& requests, std::function<void()> on_room)
        : cell_(cell), requests_(requests), on_room_(std::move(on_room)) {}
    ConnectionCount(const ConnectionCount&) = delete;
    ConnectionCount& operator=(const ConnectionCount&) = delete;

    std::uint32_t open() const noexcept { return cell_.open.load(std::memory_order_relaxed); }
    std::uint32_t limit() const noexcept { return cell_.limit.load(std::memory_order_relaxed); }
    bool is_full() const noexcept { return open() >= limit(); }
    void set_limit(std::uint32_t most) {
        cell_.limit.store(most, std::memory_order_relaxed);
        on_room_();
    }

    /// Counts a connection before it is taken, so that the master finds it in at least one of the two counts.
    [[nodiscard]] CountedConnection enter() noexcept {
        cell_.open.fetch_add(1, std::memory_order_seq_cst);
        return CountedConnection(*this);
    }
    /// Counts it as accepted once it was taken.
    void count() noexcept { cell_.accepted.fetch_add(1, std::memory_order_relaxed); }
    void count_refused() noexcept { cell_.refused.fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] OngoingRequest begin_request(const RequestNote& note) noexcept {
        return OngoingRequest(cell_, requests_, note);
    }
    void count_response(int status) noexcept { cell_.count_response(status); }

private:
    friend CountedConnection;
    void leave() {
        if (cell_.open.fetch_sub(1, std::memory_order_relaxed) >= limit()) on_room_();
    }

    WorkerCell& cell_;
    RequestTable& requests_;
    std::function<void()> on_room_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/connection_count.ipp>
#endif
