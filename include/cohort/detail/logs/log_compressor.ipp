// SPDX-License-Identifier: MIT
// The bodies of log_compressor.hpp (layer 2).
#pragma once

#include <cohort/detail/logs/log_compressor.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/system.hpp>

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cohort::detail {

/// A file that was left behind by a writer that was killed is used again.
COHORT_DECL bool LogCompressor::lock_result() noexcept {
    struct stat own {};
    struct stat named {};
    if (!target_ || ::flock(target_.get(), LOCK_EX | LOCK_NB) != 0) return false;
    if (::fstat(target_.get(), &own) != 0 || ::stat(result_.c_str(), &named) != 0) return false;
    return is_same_file(own, named) && ::ftruncate(target_.get(), 0) == 0;
}

COHORT_DECL void LogCompressor::begin() {
    if (is_running()) return;
    const unsigned number = log_.former().find_uncompressed();
    if (number == 0) return;
    // Whoever else may write in the folder may have put something there that is no log, or never ends.
    constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    source_ = UniqueFd(::open(log_.former().name(number).c_str(), flags));
    struct stat status {};
    if (!source_ || ::fstat(source_.get(), &status) != 0 || !S_ISREG(status.st_mode)) return source_.reset();
    target_ = UniqueFd(::open(result_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, status.st_mode & 07777));
    if (!lock_result()) return target_.reset();
    process_ = ::fork();
    if (process_ == 0) become_gzip();
    if (process_ < 0) end(false);
}

/// In the child.
COHORT_DECL void LogCompressor::become_gzip() noexcept {
    reset_signals();
    constexpr int less_important = 10;
    [[maybe_unused]] const int priority = ::nice(less_important);
    if (::dup2(source_.get(), STDIN_FILENO) == STDIN_FILENO && ::dup2(target_.get(), STDOUT_FILENO) == STDOUT_FILENO)
        ::execlp("gzip", "gzip", "-c", nullptr);
    ::_exit(127);
}

COHORT_DECL int LogCompressor::look() {
    int status = 0;
    if (!is_running() || ::waitpid(process_, &status, WNOHANG) != process_) return 0;
    if (end(status == 0)) begin();
    return status;
}

/// False: a file stays as it is.
COHORT_DECL bool LogCompressor::end(bool is_whole) {
    struct stat status {};
    bool is_done = false;
    if (is_whole && ::fsync(target_.get()) == 0 && ::fstat(source_.get(), &status) == 0)
        log_.while_locked([&] { is_done = log_.former().replace(status, result_); });
    if (!is_done) ::unlink(result_.c_str());
    source_.reset();
    target_.reset();
    process_ = 0;
    return is_done;
}

COHORT_DECL void LogCompressor::abandon() noexcept {
    if (!is_running()) return;
    ::kill(process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
    ::unlink(result_.c_str());
    process_ = 0;
}

} // namespace cohort::detail
