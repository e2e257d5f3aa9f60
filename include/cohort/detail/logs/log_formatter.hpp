// SPDX-License-Identifier: MIT
// LogFormatter: lines as they stand in the log (layer 1).
#pragma once

#include <cohort/detail/logs/line_splitter.hpp>
#include <cohort/detail/logs/log_source.hpp>
#include <cohort/log_options.hpp>

#include <chrono>
#include <string>

namespace cohort::detail {

/// In UTC with microseconds: 2026-11-30T14:40:35.123456Z
void append_time(std::string& out, std::chrono::system_clock::time_point time);

/// Time is RFC 3339's, in UTC with microseconds. As text a line is given as it is; "+" behind its stream says that it
/// goes on in the next one. As JSON (RFC 8259) what is no UTF-8 in it is replaced by U+FFFD.
///
///     2026-11-30T14:40:35.123456Z worker 3 slot 0 stdout: text
///     {"time":"2026-11-30T14:40:35.123456Z","worker":3,"slot":0,"stream":"stdout","text":"text"}
class LogFormatter {
public:
    using Time = std::chrono::system_clock::time_point;

    explicit LogFormatter(LogFormat format) noexcept : format_(format) {}

    /// Appends the line and its newline.
    void append(std::string& out, const LogSource& source, Time time, const Line& line);

private:
    void begin(const LogSource& source, Time time);
    void append_text(std::string& out, const Line& line) const;
    void append_json(std::string& out, const Line& line) const;

    LogFormat format_;
    std::string head_; // of lines of this source at this time: many come at once
    LogSource source_;
    Time time_{};
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/log_formatter.ipp>
#endif
