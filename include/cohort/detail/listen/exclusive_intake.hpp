// SPDX-License-Identifier: MIT
// ExclusiveIntake: a port that one worker has for itself; its master is only told of it (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/control/links.hpp>
#include <cohort/detail/listen/accepting_intake.hpp>
#include <cohort/detail/socket/socket_file.hpp>

#include <utility>

namespace cohort::detail {

/// Where the master would count.
struct OwnCell {
    Cell own_cell{};
};

/// No other worker and no successor serves its queue, so what is in it when the worker is to leave is still accepted.
class ExclusiveIntake final : private OwnCell, public AcceptingIntake {
public:
    /// `listener` listens.
    ExclusiveIntake(const asio::any_io_executor& executor, std::shared_ptr<WorkerLink> link,
                    ConnectionCount& connection_count, Endpoint endpoint, UniqueFd listener)
        : AcceptingIntake(
              {executor, std::move(link), 0, own_cell, connection_count, std::move(endpoint), std::move(listener)}) {}
    ~ExclusiveIntake() override { file_.remove(); }

    COHORT_DECL void stop(bool) override;
    void close() override {
        file_.remove();
        AcceptingIntake::close();
    }

private:
    void take_the_rest();

    SocketFile file_{endpoint()};
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/exclusive_intake.ipp>
#endif
