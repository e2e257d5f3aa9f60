// SPDX-License-Identifier: MIT
// The bodies of log_file.hpp (layer 2).
#pragma once

#include <cohort/detail/logs/log_file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/own_link.hpp>
#include <cohort/detail/system/system.hpp>

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL FileLock::FileLock(int file, Kind kind) noexcept : file_(file) {
    while (::flock(file_, kind == shared ? LOCK_SH : LOCK_EX) != 0 && errno == EINTR) {
    }
}

COHORT_DECL FileLock::~FileLock() { ::flock(file_, LOCK_UN); }

COHORT_DECL LogFile::LogFile(const LogOptions& options)
    : options_(options), policy_(options), former_(options.path, options.keep) {}

COHORT_DECL bool LogFile::is_at_path() const noexcept {
    struct stat own {};
    struct stat named {};
    return ::fstat(file_.get(), &own) == 0 && ::stat(options_.path.c_str(), &named) == 0 && is_same_file(own, named);
}

COHORT_DECL bool LogFile::has_name() const noexcept {
    struct stat own {};
    return file_ && ::fstat(file_.get(), &own) == 0 && own.st_nlink != 0;
}

/// The file that is open stays when there is an error.
COHORT_DECL std::error_code LogFile::open() {
    constexpr int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK; // also of a pipe: to say what it is
    UniqueFd opened = open_by_own_links(options_.path, O_RDWR | flags, options_.mode);
    if (!opened && errno == EACCES) opened = open_by_own_links(options_.path, O_WRONLY | flags, options_.mode);
    struct stat status {};
    if (!opened || ::fstat(opened.get(), &status) != 0) return last_error();
    if (!S_ISREG(status.st_mode)) return std::make_error_code(std::errc::invalid_argument);
    file_ = std::move(opened);
    if (status.st_size > 0) end_torn_line();
    return {};
}

COHORT_DECL void LogFile::note(std::error_code error) noexcept {
    if (!std::exchange(is_troubled_, bool(error)) && error) trouble_ = error;
}

/// Whoever wrote the last line may have been killed, or have found the disk full, in its midst.
COHORT_DECL void LogFile::end_torn_line() const noexcept {
    const FileLock lock(file_.get(), FileLock::exclusive);
    struct stat status {};
    char last = '\n';
    if (::fstat(file_.get(), &status) != 0 || ::pread(file_.get(), &last, 1, status.st_size - 1) != 1) return;
    if (last != '\n') [[maybe_unused]]
        const auto written = ::write(file_.get(), "\n", 1);
}

COHORT_DECL std::error_code LogFile::prepare(std::size_t more, bool& is_new) {
    if (is_own_output()) return {};
    if (std::exchange(reopens_, false) || !file_ || !is_at_path()) {
        const std::error_code error = open();
        if (error && !has_name()) return error;
        note(error);
        is_new = !error;
        if (error) return {};
    }
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) return last_error();
    const RotationPolicy::File file{static_cast<std::uint64_t>(status.st_size),
                                    std::chrono::system_clock::from_time_t(status.st_mtime)};
    if (!policy_.is_due(file, more, std::chrono::system_clock::now())) return {};
    return rotate(is_new);
}

/// Of several writers that find it due one does it; the others find another file at the path then.
COHORT_DECL std::error_code LogFile::rotate(bool& is_new) {
    constexpr std::chrono::minutes pause{1}; // each attempt moves what it can
    const auto now = std::chrono::steady_clock::now();
    if (now < next_rotation_) return {};
    std::error_code error;
    const bool was_locked = while_locked([&] {
        if (!former_.shift()) error = last_error();
    });
    if (error) next_rotation_ = now + pause;
    if (!error) {
        rotated_ = rotated_ || was_locked;
        error = open();
        is_new = is_new || !error;
    }
    if (error && !has_name()) return error;
    note(error);
    return {};
}

COHORT_DECL std::size_t LogFile::write(std::string_view bytes, std::error_code& error) noexcept {
    error.clear();
    if (is_own_output()) return write(STDERR_FILENO, bytes, error);
    const FileLock lock(file_.get(), FileLock::shared);
    return write(file_.get(), bytes, error);
}

COHORT_DECL std::size_t LogFile::write(int file, std::string_view bytes, std::error_code& error) noexcept {
    std::size_t done = 0;
    while (done != bytes.size()) {
        const ssize_t written = ::write(file, bytes.data() + done, bytes.size() - done);
        if (written >= 0) {
            done += static_cast<std::size_t>(written);
        } else if (would_block(errno)) { // whoever shares standard error has set that
            pollfd room{file, POLLOUT, 0};
            ::poll(&room, 1, -1);
        } else if (errno != EINTR) {
            error = last_error();
            break;
        }
    }
    return done;
}

} // namespace cohort::detail
