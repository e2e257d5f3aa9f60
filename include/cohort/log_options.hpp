// SPDX-License-Identifier: MIT
// What is logged, and where to (layer 1).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sys/types.h>

namespace cohort {

/// What cohort itself says on standard error, or in the log: lines of Options::log_level and of those above it.
/// Workers' output is not concerned.
enum class LogLevel : std::uint8_t {
    error,   ///< something is lost or not done: a slot is given up, a handler has thrown, lines of the log are missing
    warning, ///< something is wrong, and cohort sees to it: a worker has crashed, is stuck, may not listen
    info,    ///< something is done: a reload, an upgrade
};

/// How a line stands in the log.
enum class LogFormat {
    text, ///< 2026-11-30T14:40:35.123456Z worker 3 slot 0 stdout: the line, as it was written
    json, ///< {"time":"2026-11-30T14:40:35.123456Z","worker":3,"slot":0,"stream":"stdout","text":"the line"}
};

/// Where the lines go that workers write to their standard output and error, with what the library itself says in the
/// master (stream "cohort", no worker). The master reads them from pipes and a process of its own writes them, so that
/// nobody else waits for the disk. While that process does not keep up, workers that write much are held up for 100 ms
/// of every second at most, longer only where what it lacks is a CPU; beyond that lines are lost, whole ones, and a
/// line says how many of each worker. What a worker has written before it ends, however it ends, is in the log; what
/// the program itself has buffered is not (its stdout is line-buffered; std::cout, too, unless
/// std::ios::sync_with_stdio says otherwise). A line longer than 8 KiB becomes several: "stdout+" in text and
/// "partial":true in JSON say of each but the last that it goes on.
///
/// A stream that WorkerOptions::descriptors names is not captured.
struct LogOptions {
    /// A file; it is opened anew when it was renamed or deleted, and at Master::reopen_logs(), with run() also SIGUSR1.
    /// Empty: the master's standard error. A symbolic link counts if it is root's or this user's (ELOOP).
    std::string path{};
    LogFormat format = LogFormat::text;
    /// Bytes; a file that would get larger becomes `path`.1, and a new one begins. 0: no limit.
    std::uint64_t rotate_size = 0;
    /// A new file begins with each such period, counted from 1970 in UTC: with 24h at midnight; at its first line. 0:
    /// none.
    std::chrono::seconds rotate_every{0};
    /// How many former files are kept: `path`.1, the last one, to `path`.7.
    unsigned keep = 7;
    /// By gzip(1), in the background: `path`.2.gz and older. The master of before an upgrade may still write to
    /// `path`.1.
    bool compress = false;
    /// Of a new file, less the umask.
    mode_t mode = 0640;
    /// A folder in which each crash of a worker leaves a file (CrashReport), for this user alone; made when it is
    /// missing, and refused, with EPERM, where others may replace files in it. The last 100 stay. Empty: none.
    std::string crash_reports{};
};

} // namespace cohort
