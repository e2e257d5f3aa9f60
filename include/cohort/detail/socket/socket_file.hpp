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

/// While it lives, no other program of cohort's and of this user's makes or removes a socket at `path`: flock(2) on a
/// file beside it, which is removed again. Whoever may read a folder may lock it; this file is the user's alone. Where
/// it cannot be made, or is somebody else's, there is no lock; one that is held for longer than a second is not waited
/// for.
class PathLock {
public:
    explicit PathLock(const std::string& path);
    PathLock(const PathLock&) = delete;
    PathLock& operator=(const PathLock&) = delete;
    ~PathLock() {
        if (lock_) ::unlink(name_.c_str());
    }

private:
    std::string name_;
    UniqueFd lock_;
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
