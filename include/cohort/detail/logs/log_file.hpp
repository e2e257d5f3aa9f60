// SPDX-License-Identifier: MIT
// LogFile: the file that a log is written to, whatever others do with it (layer 2).
#pragma once

#include <cohort/detail/logs/rotated_files.hpp>
#include <cohort/detail/logs/rotation_policy.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/log_options.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <sys/stat.h>

namespace cohort::detail {

/// Of a log file, between all its writers (flock(2)): many may write, or one may rotate or see how it ends.
class FileLock {
public:
    enum Kind { shared, exclusive };

    /// Waits for it.
    FileLock(int file, Kind kind) noexcept;
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;
    ~FileLock();

private:
    int file_;
};

/// Other processes may append to the same file, as the master before an upgrade does, rename or delete it. Blocks for
/// as long as the disk does. Without a path it is standard error.
class LogFile {
public:
    explicit LogFile(const LogOptions& options);

    /// Opens the file, if it is not open, or the path has another one by now, and begins a new one if that is due. To
    /// be called before each write. Sets `is_new` if it was opened. Where it cannot be, the one that is open is written
    /// to, for as long as it has a name: see take_trouble(). EINVAL: it is something else than a file; ELOOP: a
    /// symbolic link of somebody else's.
    std::error_code prepare(std::size_t more, bool& is_new);
    /// How many of the bytes were written; some may have been although there is an error.
    std::size_t write(std::string_view bytes, std::error_code& error) noexcept;
    /// The next prepare() opens the file anew.
    void reopen() noexcept { reopens_ = true; }
    /// Why the file was not opened anew, or not rotated; told once until it succeeds.
    std::error_code take_trouble() noexcept { return std::exchange(trouble_, {}); }
    /// A former file was added since this was last asked.
    bool has_rotated() noexcept { return std::exchange(rotated_, false); }

    const std::string& path() const noexcept { return options_.path; }
    const RotatedFiles& former() const noexcept { return former_; }
    /// Calls `action` while no other writer rotates. Does nothing, and returns false, if the path has another file.
    template <class Action>
    bool while_locked(Action action) {
        if (!file_) return false;
        const FileLock lock(file_.get(), FileLock::exclusive);
        if (!is_at_path()) return false;
        action();
        return true;
    }

private:
    bool is_own_output() const noexcept { return options_.path.empty(); }
    bool is_at_path() const noexcept;
    bool has_name() const noexcept;
    std::error_code open();
    void end_torn_line() const noexcept;
    static std::size_t write(int file, std::string_view bytes, std::error_code& error) noexcept;
    std::error_code rotate(bool& is_new);
    void note(std::error_code error) noexcept;

    LogOptions options_;
    RotationPolicy policy_;
    RotatedFiles former_;
    UniqueFd file_;
    bool rotated_ = false;
    bool reopens_ = false;
    bool is_troubled_ = false;
    std::error_code trouble_;
    std::chrono::steady_clock::time_point next_rotation_{}; // not before
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/log_file.ipp>
#endif
