// SPDX-License-Identifier: MIT
// CrashReport: what is known of a worker that has crashed (layer 1).
#pragma once

#include <cohort/event.hpp>
#include <cohort/exit_status.hpp>
#include <cohort/stats.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cohort {

/// Made when a worker ends by a signal, or is ended because it was stuck, not ready in time, or said what it may not;
/// not for one that was to leave and is killed at the end of its grace. It comes with the exited event (Event::crash),
/// and as a file (LogOptions::crash_reports). The worker itself has said most of what stands here: it is no proof.
struct CrashReport {
    static constexpr std::size_t most_lines = 50;
    static constexpr std::size_t most_requests = 64;

    WorkerId worker = 0;
    unsigned slot = 0;
    pid_t pid = 0;
    std::uint64_t generation = 0;                 ///< how many reloads had begun when it was started
    std::chrono::system_clock::time_point time{}; ///< of its end
    std::chrono::milliseconds uptime{};           ///< from its start
    ExitStatus status{};
    std::string reason{};       ///< why the master had ended it; empty: it had not
    std::string doing{};        ///< Worker::doing
    std::uint64_t requests = 0; ///< that it had begun
    /// Those that it had not answered, oldest first. Of a stuck worker as they were when it was found stuck.
    std::vector<RequestInfo> unanswered{};
    /// The last that it wrote to standard output and error, as they were read; and those that it wrote when it was
    /// aborted: who it is, and where it was. Both are empty without Options::logs.
    std::vector<std::string> lines{};
    std::vector<std::string> backtrace{};
    /// Where its core file is, as far as /proc/sys/kernel/core_pattern tells: a path, in which `*` stands for what is
    /// not known, or "| program" that was given it (core(5)); empty: there is none.
    std::string core{};

    /// For people: the text of the file.
    std::string describe() const;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/crash_report.ipp>
#endif
