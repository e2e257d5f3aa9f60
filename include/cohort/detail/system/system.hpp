// SPDX-License-Identifier: MIT
// System: the system calls that can fail in interesting ways, in one place that tests can replace (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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
    /// openat2 for reading, and only what is beneath `folder`; never waits for the other end of a pipe.
    virtual int open_beneath(int folder, const char* path) noexcept {
        open_how how{};
        how.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
        return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
    }
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
    static System*& installed() noexcept {
        static System kernel;
        static System* current = &kernel;
        return current;
    }
};

inline std::error_code last_error() noexcept { return {errno, std::system_category()}; }

[[noreturn]] inline void throw_last_error(const char* what) { throw std::system_error(last_error(), what); }

inline bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

/// Another descriptor of the same open file, close-on-exec. Throws EMFILE, EBADF.
inline UniqueFd duplicate(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw_last_error("dup");
    return copy;
}

/// About so many descriptors more can be opened, going by the number that the next one gets.
inline bool can_open(rlim_t count) noexcept {
    const int next = ::eventfd(0, EFD_CLOEXEC);
    if (next < 0) return false;
    ::close(next);
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && static_cast<rlim_t>(next) + count <= limit.rlim_cur;
}

/// The kernel has reached a limit on what is in flight between sockets, for now; it gives no event (unix(7)).
inline bool is_kernel_limit(int error) noexcept { return error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM; }

} // namespace cohort::detail
