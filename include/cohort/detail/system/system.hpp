// SPDX-License-Identifier: MIT
// System: the system calls that can fail in interesting ways, in one place that tests can replace (layer 2).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <system_error>

#include <linux/openat2.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

/// Each call has the contract of the system call of its name. A test derives from it, makes a call fail (EAGAIN,
/// EMFILE, ENOMEM, a short write) and installs itself with Replace for a while.
class System {
public:
    virtual ~System() = default;

    virtual ssize_t sendmsg(int fd, const msghdr* message) noexcept {
        return ::sendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    virtual ssize_t recvmsg(int fd, msghdr* message) noexcept {
        return ::recvmsg(fd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    }
    /// The same two for the bytes of a stream, which may be cut anywhere.
    virtual ssize_t send(int fd, const msghdr* message) noexcept {
        return ::sendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    virtual ssize_t recv(int fd, msghdr* message) noexcept {
        return ::recvmsg(fd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    }
    virtual int accept(int fd) noexcept { return ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); }
    virtual pid_t fork() noexcept { return ::fork(); }
    /// The same, and -1, for a process that can be watched in this way but gets no signal.
    COHORT_DECL virtual int pidfd_open(pid_t pid) noexcept;
    /// openat2 for reading, and only what is beneath `folder`; never waits for the other end of a pipe.
    COHORT_DECL virtual int open_beneath(int folder, const char* path) noexcept;
    virtual ssize_t pread(int fd, void* bytes, size_t size, off_t offset) noexcept {
        return ::pread(fd, bytes, size, offset);
    }

    static System& current() noexcept { return *installed(); }

    /// While it lives, `replacement` answers in place of the kernel.
    class Replace {
    public:
        explicit Replace(System& replacement) noexcept : previous_(installed()) { installed() = &replacement; }
        Replace(const Replace&) = delete;
        Replace& operator=(const Replace&) = delete;
        ~Replace() { installed() = previous_; }

    private:
        System* previous_;
    };

private:
    static System*& installed() noexcept;
};

std::error_code last_error() noexcept;

[[noreturn]] void throw_last_error(const char* what);

bool would_block(int error) noexcept;

bool is_same_file(const struct stat& a, const struct stat& b) noexcept;

/// Another descriptor of the same open file, close-on-exec. Throws EMFILE, EBADF.
UniqueFd duplicate(int fd);

/// Whether about `count` more descriptors can be opened, judging by the number that the next one gets.
bool can_open(rlim_t count) noexcept;

/// How many descriptors of this process one of many users may cause it to hold: a part of what it may have in all.
std::size_t share_of_descriptors() noexcept;

/// Whether one of many users, who causes this process to hold so many descriptors, may cause one more. Errc::too_many:
/// it has an eighth of all. EMFILE: the last quarter is left, which is for what comes from elsewhere; but a few it may
/// have even then, since what is handed over at a reload may take nearly all for a moment, and a successor that could
/// not listen would end the reload.
std::error_code may_cause_more(std::size_t count) noexcept;

/// The kernel has reached a limit on what is in flight between sockets, for now; it gives no event (unix(7)).
bool is_kernel_limit(int error) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/system.ipp>
#endif
