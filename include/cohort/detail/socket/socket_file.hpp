// SPDX-License-Identifier: MIT
// The file that a Unix socket leaves behind: whose it is, and when it may be removed (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>

#include <string>

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

bool is_same_file(const struct stat& a, const struct stat& b) noexcept;

/// The file of a socket that this process listens on. Removes it only if no other file has taken its place, and not
/// from a forked copy of this object. While the socket is open no other file can have the same inode number.
class SocketFile {
public:
    SocketFile() = default;
    /// Of any endpoint; only a Unix path has a file.
    explicit SocketFile(const Endpoint& endpoint) : path_(endpoint.path()), process_(::getpid()) {
        if (path_.empty() || ::lstat(path_.c_str(), &file_) != 0) path_.clear();
    }

    /// Before the socket is closed.
    void remove() noexcept;

    /// Another process listens on it now.
    void release() noexcept { path_.clear(); }

private:
    std::string path_;
    struct stat file_ {};
    pid_t process_ = 0;
};

/// While it lives, no other program of cohort's makes or removes a socket in the folder of `path`: flock(2). A folder
/// that cannot be read, or that others have locked for longer than a second, is used without the lock.
class FolderLock {
public:
    explicit FolderLock(const std::string& path);

private:
    UniqueFd folder_;
};

/// Whether nobody listens on the socket whose file `file` is, now and some moments later: another program may have
/// bound it and be about to listen.
bool is_stale(int file);

/// Removes the file of a Unix socket that nobody listens on any more, but no other file. True: the path may be free
/// now. No system call removes a file only if it is a particular one, so it is renamed to a unique name, checked again,
/// and renamed back if it is another.
bool remove_stale_file(const std::string& path);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/socket/socket_file.ipp>
#endif
