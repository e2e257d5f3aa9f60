// SPDX-License-Identifier: MIT
// The bodies of log_file.hpp (layer 2).
#pragma once

#include <cohort/detail/logs/log_file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <cerrno>

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

COHORT_DECL std::error_code LogFile::open() {
    const auto open_for = [this](int access) {
        constexpr int flags =
            O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK; // also of a pipe: to say what it is
        return ::open(options_.path.c_str(), access | flags, options_.mode);
    };
    file_ = UniqueFd(open_for(O_RDWR));
    if (!file_ && errno == EACCES) file_ = UniqueFd(open_for(O_WRONLY));
    struct stat status {};
    if (!file_ || ::fstat(file_.get(), &status) != 0) return last_error();
    if (!S_ISREG(status.st_mode)) {
        file_.reset();
        return std::make_error_code(std::errc::invalid_argument);
    }
    if (status.st_size > 0) end_torn_line();
    return {};
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
    if (!file_ || !is_at_path()) {
        is_new = true;
        if (const auto error = open()) return error;
    }
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) return last_error();
    const RotationPolicy::File file{static_cast<std::uint64_t>(status.st_size),
                                    std::chrono::system_clock::from_time_t(status.st_mtime)};
    if (!policy_.is_due(file, more, std::chrono::system_clock::now())) return {};
    is_new = true;
    return rotate();
}

/// Of several writers that find it due one does it; the others find another file at the path then.
COHORT_DECL std::error_code LogFile::rotate() {
    std::error_code error;
    const bool was_locked = while_locked([&] {
        if (!former_.shift()) error = last_error();
    });
    if (error) return error;
    rotated_ = rotated_ || was_locked;
    return open();
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
