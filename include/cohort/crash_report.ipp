// SPDX-License-Identifier: MIT
// The bodies of crash_report.hpp (layer 1).
#pragma once

#include <cohort/crash_report.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/logs/log_formatter.hpp>
#include <cohort/detail/printable.hpp>

namespace cohort::detail {

COHORT_DECL void append_lines(std::string& text, const char* title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text.append(title).append(":\n");
    for (const std::string& line : lines) text.append("    ").append(printable(line)).append("\n");
}

} // namespace cohort::detail

namespace cohort {

COHORT_DECL std::string CrashReport::describe() const {
    std::string text;
    detail::append_time(text, time);
    text += " worker " + std::to_string(worker) + " in slot " + std::to_string(slot) + " (process " +
            std::to_string(pid) + ", generation " + std::to_string(generation) + ") " + status.describe() + " after " +
            std::to_string(uptime.count()) + " ms\n";
    const auto add = [&text](const char* title, const std::string& value) {
        if (!value.empty()) text.append(title).append(": ").append(detail::printable(value)).append("\n");
    };
    add("reason", reason);
    add("doing", doing);
    add("core", core);
    add("requests begun", std::to_string(requests));
    std::vector<std::string> waiting;
    for (const RequestInfo& request : unanswered) waiting.push_back(request.describe());
    detail::append_lines(text, "not answered", waiting);
    detail::append_lines(text, "backtrace", backtrace);
    detail::append_lines(text, "last lines", lines);
    return text;
}

} // namespace cohort
