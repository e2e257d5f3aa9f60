// SPDX-License-Identifier: MIT
// LogCompressor: former files of a log, made smaller by gzip(1) (layer 2).
#pragma once

#include <cohort/detail/logs/log_file.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <string>

#include <sys/stat.h>
#include <sys/types.h>

namespace cohort::detail {

/// One at a time, in a process of its own. Whatever ends it, a loss of power included, the file is
/// there, as it was or compressed.
class LogCompressor {
public:
    explicit LogCompressor(LogFile& log) : log_(log), result_(log.path() + ".gz.part") {}
    LogCompressor(const LogCompressor&) = delete;
    LogCompressor& operator=(const LogCompressor&) = delete;

    /// Begins with the oldest file that is not compressed, unless it is about one already, or there is none.
    void begin();
    bool is_running() const noexcept { return process_ > 0; }
    /// Has the result take its file's place, if it is ready, and goes on with the next. Not 0: it has failed, with this
    /// status of waitpid(2), and is not tried again before the next begin().
    int look();
    /// Gives up what it is about.
    void abandon() noexcept;

private:
    bool lock_result() noexcept;
    bool end(bool is_whole);
    [[noreturn]] void become_gzip() noexcept;

    LogFile& log_;
    std::string result_;
    UniqueFd source_;
    UniqueFd target_; // locked: a second writer leaves it alone
    pid_t process_ = 0;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/log_compressor.ipp>
#endif
