// SPDX-License-Identifier: MIT
// log_line: what cohort itself says on standard error (layer 2).
#pragma once

#include <cohort/log_options.hpp>

#include <string_view>

namespace cohort::detail {

/// Who takes such lines instead of standard error.
class LineSink {
public:
    /// False: not from this process, or thread, or not now.
    virtual bool log(std::string_view text) noexcept = 0;

protected:
    ~LineSink() = default;
};

/// The log of a master, if it has one.
inline LineSink* line_sink = nullptr;

/// Of this process. What is less urgent is not said.
inline LogLevel log_level = LogLevel::info;

/// "cohort: ", and the text. See LineLog: nobody waits for whoever reads there.
void log_line(LogLevel level, std::string_view text) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/log_line.ipp>
#endif
