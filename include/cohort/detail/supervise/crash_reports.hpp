// SPDX-License-Identifier: MIT
// What a master can find out about a worker that has crashed (layer 4).
#pragma once

#include <cohort/crash_report.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/logs/log_service.hpp>
#include <cohort/detail/process/worker_record.hpp>

#include <memory>

namespace cohort::detail {

/// Whether this end is one that nobody in the cluster wanted, or that only the master did. One that was to leave may
/// be killed; a signal that a fault raises is a crash all the same.
bool is_crash(const WorkerRecord& worker, const ExitStatus& status, bool stopping) noexcept;

/// Says what is known of it, and has a file of it written, if that is wanted. Before its part of the shared page goes
/// to another; all that it has written was read. `logs`: null: there is none. `options`: what it was started with.
/// Null: there is no memory for it.
std::shared_ptr<const CrashReport> report_crash(WorkerRecord& worker, const ExitStatus& status, SharedPage& page,
                                                LogService* logs, const WorkerOptions& options);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/crash_reports.ipp>
#endif
