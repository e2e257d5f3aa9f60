// SPDX-License-Identifier: MIT
// LineLog: lines for whoever may not take them now: a pipe, a terminal, a socket, a file (layer 2).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <sys/types.h>

namespace cohort {

/// Writes lines without waiting for whoever reads them: a full pipe that nobody reads, or a terminal stopped by Ctrl-S,
/// would hold up an event loop and all that it serves (a file is waited for: its disk). Each line is one write(2), so
/// lines of several processes do not mix, and 4096 bytes at most (pipe(7), PIPE_BUF): what is longer is cut. A line
/// that is not taken, as with a full disk, is lost; before the next one that is taken, a line says how many were. On
/// any thread; also in a signal handler.
///
///     LineLog access_log(STDOUT_FILENO); // outlives the workers
///     void write_log(const http::Access& access) { access_log.write(http::to_combined(access)); }
class LineLog {
public:
    static constexpr std::size_t longest = 4096;

    /// The descriptor stays its owner's, and as blocking as it is for others.
    explicit LineLog(int descriptor) noexcept : descriptor_(descriptor) {}
    LineLog(const LineLog&) = delete;
    LineLog& operator=(const LineLog&) = delete;

    /// `line` has no terminator. Returns whether it was taken.
    bool write(std::string_view line) noexcept;

private:
    bool put(std::string_view line) noexcept;
    bool tell_lost() noexcept;

    int descriptor_;
    std::atomic<std::uint64_t> lost_{0};
    std::atomic<pid_t> loser_{0};      // the process that has lost them, not a forked copy
    std::atomic<bool> is_torn_{false}; // a part of a line was taken
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/line_log.ipp>
#endif
