// SPDX-License-Identifier: MIT
// Event and WorkerInfo: what the master reports about its workers (layer 1).
#pragma once

#include <cohort/endpoint.hpp>
#include <cohort/exit_status.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include <sys/types.h>

namespace cohort {

struct CrashReport;

/// Names a worker for as long as the master lives: ids begin at 1, grow, and are never used again.
using WorkerId = std::uint32_t;

/// Where a worker is in its life. It only moves forward.
enum class WorkerState : std::uint8_t {
    forked,    ///< the process exists
    online,    ///< its body is about to run, messages flow
    listening, ///< it listens on at least one endpoint
    draining,  ///< it was asked, or has decided, to leave
    exited,    ///< the process has ended, its last messages have been received
};

constexpr std::string_view to_string(WorkerState state) noexcept {
    switch (state) {
        case WorkerState::forked: return "forked";
        case WorkerState::online: return "online";
        case WorkerState::listening: return "listening";
        case WorkerState::draining: return "draining";
        case WorkerState::exited: return "exited";
    }
    return "unknown";
}

/// One step in the life of a worker. forked, online, draining and exited come at most once each, in that order, forked
/// and exited always; listening comes once for each endpoint.
struct Event {
    WorkerState kind = WorkerState::forked;
    WorkerId worker = 0;
    /// 0 to the number of workers less one. A worker's successor has the same slot.
    unsigned slot = 0;
    pid_t pid = 0;
    /// listening: the endpoint with the real address and port.
    std::optional<Endpoint> endpoint{};
    /// exited: how.
    std::optional<ExitStatus> status{};
    /// exited: it had been asked, or had announced, to leave, so this is no crash.
    bool voluntary = false;
    /// exited: why the master gave up on it, if it did (a malformed message, a set-up that failed; Errc::not_ready, it
    /// took longer than Options::boot_timeout; Errc::unresponsive, Options::liveness).
    std::error_code error{};
    /// exited: by a crash, and what is known of it: cohort/crash_report.hpp. Null also when it is one of the oldest of
    /// more than 16 that nobody has received yet.
    std::shared_ptr<const CrashReport> crash{};
};

/// A living worker, seen from the master.
struct WorkerInfo {
    WorkerId id = 0;
    unsigned slot = 0;
    pid_t pid = 0;
    WorkerState state = WorkerState::forked;
    /// Its event loop has not turned for Liveness::slow_after.
    bool slow = false;
};

} // namespace cohort
