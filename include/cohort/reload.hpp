// SPDX-License-Identifier: MIT
// ReloadReport: how a reload went (layer 1).
#pragma once

#include <cohort/error.hpp>
#include <cohort/event.hpp>
#include <cohort/exit_status.hpp>

#include <optional>
#include <system_error>

namespace cohort {

/// When a reload fails at a slot, that slot and those after it keep their old workers.
struct ReloadReport {
    unsigned replaced = 0; ///< slots that have a new worker
    /// Why the others have none: Errc::not_ready: the successor ended or took longer than Options::boot_timeout;
    /// Errc::canary_failed; Errc::stopping; an error of fork(2) or the like.
    std::error_code error{};
    /// not_ready, canary_failed: the successor, and how it ended, if it did by itself.
    std::optional<WorkerId> failed{};
    std::optional<ExitStatus> status{};

    explicit operator bool() const noexcept { return !error; }
};

} // namespace cohort
