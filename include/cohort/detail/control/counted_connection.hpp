// SPDX-License-Identifier: MIT
// CountedConnection, OngoingRequest: what makes a worker's connections and requests count while they last (layer 3).
#pragma once

#include <utility>

namespace cohort::detail {

class ConnectionCount;
struct WorkerCell;

/// Counts as one request under way for as long as it lives. Outside a cluster it counts nothing.
class OngoingRequest {
public:
    OngoingRequest() = default;
    explicit OngoingRequest(WorkerCell& cell) noexcept;
    OngoingRequest(OngoingRequest&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
    OngoingRequest& operator=(OngoingRequest&& other) noexcept {
        OngoingRequest(std::move(other)).swap(*this);
        return *this;
    }
    ~OngoingRequest() {
        if (cell_ != nullptr) end();
    }

private:
    void end() noexcept;
    void swap(OngoingRequest& other) noexcept { std::swap(cell_, other.cell_); }

    WorkerCell* cell_ = nullptr;
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
    [[nodiscard]] OngoingRequest begin_request() noexcept;

private:
    void end() noexcept;
    void swap(CountedConnection& other) noexcept { std::swap(connections_, other.connections_); }

    ConnectionCount* connections_ = nullptr;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/connection_count.hpp>
#endif
