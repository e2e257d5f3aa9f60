// SPDX-License-Identifier: MIT
// The bodies of crash_reports.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/crash_reports.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/logs/log_formatter.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/supervise/ongoing_requests.hpp>
#include <cohort/detail/system/core_file.hpp>
#include <cohort/detail/worker/abort_report.hpp>
#include <cohort/error.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <iterator>
#include <string>

namespace cohort::detail {

COHORT_DECL bool is_crash(const WorkerRecord& worker, const ExitStatus& status, bool stopping) noexcept {
    const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
    const int signal = status.signal().value_or(0);
    const bool is_stuck = worker.error == Errc::unresponsive;
    if (worker.voluntary || stopping) return is_stuck || std::ranges::find(faults, signal) != std::end(faults);
    return signal != 0 || worker.error;
}

/// What it wrote when it was aborted, apart from what it had written before. Of both streams, since one may have been
/// read long before the other.
COHORT_DECL void add_lines(CrashReport& report, const RecentLines& recent) {
    constexpr std::size_t longest = 256; // of a report that is sent in one piece
    constexpr std::size_t most = CrashReport::most_lines;
    auto errors = recent.last(report.worker, LogStream::error, most + AbortReport::most_lines);
    const auto aborted = std::ranges::find_if(errors, [&report](const RecentLines::Entry* entry) {
        return AbortReport::is_begin(entry->text, report.worker);
    });
    std::for_each(aborted, errors.end(), [&report](const RecentLines::Entry* entry) {
        report.backtrace.push_back(entry->text.substr(0, longest));
    });
    errors.erase(aborted, errors.end());
    auto lines = recent.last(report.worker, LogStream::output, most);
    const std::size_t of_output = std::min(lines.size(), most - std::min(errors.size(), most / 2));
    const std::size_t of_errors = std::min(errors.size(), most - of_output);
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(of_output));
    lines.insert(lines.end(), errors.end() - static_cast<std::ptrdiff_t>(of_errors), errors.end());
    std::ranges::sort(lines, {}, [](const RecentLines::Entry* entry) { return entry->number; });
    for (const RecentLines::Entry* const entry : lines) report.lines.push_back(entry->text.substr(0, longest));
}

COHORT_DECL ProcessFolders folders_of(const WorkerOptions& options) {
    std::error_code ignored; // the folder may have been removed
    const std::filesystem::path start = options.root.empty() ? std::filesystem::current_path(ignored) : "/";
    const std::string cwd = (start / options.cwd).native();
    return {options.root, cwd == "/" ? "" : cwd};
}

COHORT_DECL CrashReport make_crash_report(const WorkerRecord& worker, const ExitStatus& status, SharedPage& page,
                                          const RecentLines* lines, const WorkerOptions& options) {
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
    if (status.core_dumped()) report.core = core_file(worker.pid, status.signal().value_or(0), folders_of(options));
    return report;
}

COHORT_DECL std::string file_name_of(const CrashReport& report) {
    std::string name = "crash-";
    append_time(name, report.time);
    return name + "-worker-" + std::to_string(report.worker) + ".txt";
}

COHORT_DECL std::shared_ptr<const CrashReport> report_crash(WorkerRecord& worker, const ExitStatus& status,
                                                            SharedPage& page, LogService* logs,
                                                            const WorkerOptions& options) {
    try {
        if (worker.unanswered.empty()) note_unanswered(worker, page);
        const RecentLines* const lines = logs != nullptr ? &logs->recent() : nullptr;
        const auto report = share<CrashReport>(make_crash_report(worker, status, page, lines, options));
        if (logs != nullptr) logs->report(file_name_of(*report), report->describe());
        return report;
    } catch (const std::exception& error) { // its end goes on
        log_line(LogLevel::error, std::string("no crash report: ") + error.what());
        return nullptr;
    }
}

} // namespace cohort::detail
