// SPDX-License-Identifier: MIT
// A log of a test: its options, and what stands in it by now.
#pragma once

#include "cluster.hpp"
#include "folder.hpp"

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

namespace test {

struct Log {
    /// What the options say of the log stays.
    Options options(Options given = plain_options()) const;
    std::string path() const { return folder / "log"; }
    /// What stands there behind the time of each whole line, oldest first; with the former files.
    std::vector<std::string> lines() const;

    Folder folder;
};

/// Whole lines of a file, or of one that gzip has made; none where there is no file.
std::vector<std::string> lines_of_file(const std::string& path);
/// Without the time, which must be there.
std::string without_time(const std::string& line);

/// The numbers of those lines that end with "line <number>".
std::vector<int> numbers_in(const std::vector<std::string>& lines);
/// How many the log says were lost.
int lost_in(const std::vector<std::string>& lines);

/// The processes that write logs of this one, as soon as they have their names.
std::vector<pid_t> log_writers();

/// Waits until it is so, and lets the event loop go on meanwhile. False: it took too long.
Task<bool> until(asio::io_context& io, std::function<bool()> is_so);

/// Written in one piece to standard output, or another descriptor.
void write_line(const std::string& line, int descriptor = 1);

#if defined(COHORT_SANITIZED) // many times slower, the writer of the log, too
inline constexpr int many = 5'000;
#else
inline constexpr int many = 50'000;
#endif
/// "line 0.", "line 1." and so on, as fast as it can.
template <int count = many>
Task<> write_lines(App::Worker&) {
    for (int i = 0; i != count; ++i) write_line("line " + std::to_string(i) + ".");
    co_return;
}

} // namespace test
