// SPDX-License-Identifier: MIT
// The bodies of pid_file.hpp (layer 2).
#pragma once

#include <cohort/detail/system/pid_file.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL std::string absolute_path(const std::string& path) {
    return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().native();
}

[[noreturn]] COHORT_DECL void refuse_pid_file(const std::string& path, int error, const std::string& why = "") {
    throw std::system_error(error, std::system_category(), "pid file " + path + (why.empty() ? "" : ": " + why));
}

COHORT_DECL UniqueFd open_pid_file(const std::string& path, int flags) {
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0644));
    if (!file) refuse_pid_file(path, errno);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) refuse_pid_file(path, EINVAL, "it is no file");
    return file;
}

COHORT_DECL void lock_pid_file(const std::string& path, const UniqueFd& file) {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return;
    if (!would_block(errno)) refuse_pid_file(path, errno);
    char number[24]{};
    const ssize_t size = ::pread(file.get(), number, sizeof number - 1, 0);
    const long process = size > 0 ? std::strtol(number, nullptr, 10) : 0;
    refuse_pid_file(path, EBUSY, process > 0 ? "process " + std::to_string(process) + " has it" : "another has it");
}

COHORT_DECL PidFile::PidFile(std::string path) : path_(std::move(path)) {
    constexpr int most = 100; // others may remove and replace it meanwhile
    for (int attempt = 0; attempt != most; ++attempt) {
        lock_ = open_pid_file(path_, 0);
        lock_pid_file(path_, lock_);
        if (!is_in_place()) continue;
        write();
        return;
    }
    refuse_pid_file(path_, EBUSY);
}

COHORT_DECL PidFile::PidFile(PidFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)), owner_(std::exchange(other.owner_, 0)) {}

COHORT_DECL PidFile& PidFile::operator=(PidFile&& other) noexcept {
    if (this == &other) return *this;
    remove();
    path_ = std::exchange(other.path_, {});
    lock_ = std::move(other.lock_);
    owner_ = std::exchange(other.owner_, 0);
    return *this;
}

COHORT_DECL void PidFile::take_over() {
    if (!lock_ || owner_ != 0) return;
    if (!is_in_place()) *this = PidFile(path_); // somebody has removed it
    if (owner_ == 0) write();
}

/// What is locked may have been removed, or another file have taken its place.
COHORT_DECL bool PidFile::is_in_place() const noexcept {
    struct stat own {};
    struct stat there {};
    return lock_ && ::fstat(lock_.get(), &own) == 0 && ::lstat(path_.c_str(), &there) == 0 && is_same_file(own, there);
}

COHORT_DECL void PidFile::write() {
    const std::string aside = path_ + "." + std::to_string(::getpid());
    UniqueFd file = open_pid_file(aside, O_TRUNC);
    lock_pid_file(aside, file);
    const std::string text = std::to_string(::getpid()) + "\n";
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    const bool is_whole = written == static_cast<ssize_t>(text.size());
    if (!is_whole || ::rename(aside.c_str(), path_.c_str()) != 0) {
        const int error = written >= 0 && !is_whole ? ENOSPC : errno;
        ::unlink(aside.c_str());
        refuse_pid_file(path_, error);
    }
    lock_ = std::move(file);
    owner_ = ::getpid();
}

COHORT_DECL void PidFile::remove() noexcept {
    if (owner_ != 0 && owner_ == ::getpid() && is_in_place()) ::unlink(path_.c_str());
    owner_ = 0;
}

} // namespace cohort::detail
