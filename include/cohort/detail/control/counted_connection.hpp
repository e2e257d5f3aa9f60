// SPDX-License-Identifier: MIT
// CountedConnection, OngoingRequest: what makes a worker's connections and requests count while they last (layer 3).
#pragma once

#include <cohort/detail/control/request_table.hpp>

#include <cstdint>
#include <utility>

namespace cohort::detail {

class ConnectionCount;
struct RequestCell;
struct RequestTable;
struct WorkerCell;

/// Counts as one request under way for as long as it lives, which is what it takes (Latency). Outside a cluster it
/// counts nothing.
class OngoingRequest {
public:
    OngoingRequest() = default;
    OngoingRequest(WorkerCell& cell, RequestTable& requests, const RequestNote& note) noexcept;
    OngoingRequest(OngoingRequest&& other) noexcept
        : cell_(std::exchange(other.cell_, nullptr)),
          requests_(other.requests_),
          place_(other.place_),
          begun_(other.begun_) {}
    OngoingRequest& operator=(OngoingRequest&& other) noexcept {
        OngoingRequest(std::move(other)).swap(*this);
        return *this;
    }
    ~OngoingRequest() {
        if (cell_ != nullptr) end();
    }

    /// How long it takes says nothing: it has become something else, as at an HTTP upgrade.
    void disregard_time() noexcept { begun_ = 0; }

private:
    void end() noexcept;
    void swap(OngoingRequest& other) noexcept {
        std::swap(cell_, other.cell_);
        std::swap(requests_, other.requests_);
        std::swap(place_, other.place_);
        std::swap(begun_, other.begun_);
    }

    WorkerCell* cell_ = nullptr;
    RequestTable* requests_ = nullptr;
    RequestCell* place_ = nullptr; // null: there was none for it
    std::uint64_t begun_ = 0;      // nanoseconds of the steady clock
};

/// Counts as one connection for as long as it lives. Outside a cluster it counts nothing.
class CountedConnection {
public:
    CountedConnection() = default;
    explicit CountedConnection(ConnectionCount& connections) noexcept : connections_(&connections) {}
    CountedConnection(CountedConnection&& other) noexcept : connections_(std::exchange(other.connections_, nullptr)) {}
    CountedConnection& operator=(CountedConnection&& other) noexcept {
        CountedConnection(std::move(other)).swap(*this);
        return *this;
    }
    ~CountedConnection() {
        if (connections_ != nullptr) end();
    }

    /// An HTTP response that goes over this connection.
    void count_response(int status) noexcept;
    /// A request that came over this connection; it may outlive it.
    [[nodiscard]] OngoingRequest begin_request(const RequestNote& note) noexcept;

private:
    void end() noexcept;
    void swap(CountedConnection& other) noexcept { std::swap(connections_, other.connections_); }

    ConnectionCount* connections_ = nullptr;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/connection_count.hpp>
#endif
