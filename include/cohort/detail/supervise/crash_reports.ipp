// SPDX-License-Identifier: MIT
// The bodies of crash_reports.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/crash_reports.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/logs/log_formatter.hpp>
#include <cohort/detail/system/core_file.hpp>
#include <cohort/detail/worker/abort_report.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>

namespace cohort::detail {

COHORT_DECL bool is_crash(const WorkerRecord& worker, const ExitStatus& status, bool stopping) noexcept {
    const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
    const int signal = status.signal().value_or(0);
    if (worker.voluntary || stopping) return std::ranges::find(faults, signal) != std::end(faults);
    return signal != 0 || worker.error;
}

/// What it had written, and, apart from that, what it wrote when it was aborted. What it wrote to standard output may
/// have been read after that.
COHORT_DECL void add_lines(CrashReport& report, const RecentLines& recent) {
    constexpr std::size_t longest = 256; // of a report that is sent in one piece
    bool is_aborted = false;
    for (const RecentLines::Entry* const entry :
         recent.last(report.worker, CrashReport::most_lines + AbortReport::most_lines)) {
        const bool is_error = entry->source.stream == LogStream::error;
        is_aborted = is_aborted || (is_error && AbortReport::is_begin(entry->text, report.worker));
        (is_aborted && is_error ? report.backtrace : report.lines).push_back(entry->text.substr(0, longest));
    }
    if (report.lines.size() > CrashReport::most_lines)
        report.lines.erase(report.lines.begin(),
                           report.lines.end() - static_cast<std::ptrdiff_t>(CrashReport::most_lines));
}

COHORT_DECL CrashReport make_crash_report(const WorkerRecord& worker, const ExitStatus& status, SharedPage& page,
                                          const RecentLines* lines, const std::string& folder) {
    CrashReport report;
    report.worker = worker.id;
    report.slot = worker.slot;
    report.pid = worker.pid;
    report.generation = worker.generation;
    report.time = std::chrono::system_clock::now();
    report.uptime =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - worker.born);
    report.status = status;
    if (worker.error) report.reason = worker.error.message();
    report.doing = page.requests(worker.cell).doing_text();
    report.requests = page.living(worker.cell).requests;
    report.unanswered = worker.unanswered;
    if (lines != nullptr) add_lines(report, *lines);
    if (status.core_dumped()) report.core = core_file(worker.pid, status.signal().value_or(0), folder);
    return report;
}

COHORT_DECL std::string folder_of(const WorkerOptions& options) {
    std::error_code ignored; // the folder may have been removed
    const std::filesystem::path own = options.root.empty() ? std::filesystem::current_path(ignored) : "/";
    return options.root + (own / options.cwd).native();
}

COHORT_DECL std::string file_name_of(const CrashReport& report) {
    std::string name = "crash-";
    append_time(name, report.time);
    return name + "-worker-" + std::to_string(report.worker) + ".txt";
}

} // namespace cohort::detail
