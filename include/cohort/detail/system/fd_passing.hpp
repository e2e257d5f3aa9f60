// SPDX-License-Identifier: MIT
// Bytes with descriptors over a Unix socket: SCM_RIGHTS, unix(7) (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <array>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

namespace cohort::detail {

/// How many descriptors one datagram may carry. The kernel allows 253 (SCM_MAX_FD); batches of 16 already cost a third
/// of what single ones do.
inline constexpr std::size_t max_passed = 16;

/// A pair of connected Unix sockets, close-on-exec and non-blocking.
std::pair<UniqueFd, UniqueFd> make_socketpair(int type);

/// The msghdr for one run of bytes and some descriptors.
class SocketMessage {
public:
    /// To send. The descriptors stay the sender's.
    SocketMessage(std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept;
    /// To receive into.
    explicit SocketMessage(std::span<std::byte> room) noexcept;
    SocketMessage(const SocketMessage&) = delete;
    SocketMessage& operator=(const SocketMessage&) = delete;

    msghdr* get() noexcept { return &header_; }
    /// Received descriptors, appended in the order they were sent.
    void take_descriptors(std::vector<UniqueFd>& into);
    /// Some descriptors did not fit in this process (RLIMIT_NOFILE), or there were too many.
    bool descriptors_lost() const noexcept { return (header_.msg_flags & MSG_CTRUNC) != 0; }
    /// The datagram was larger than the room for it.
    bool cut() const noexcept { return (header_.msg_flags & MSG_TRUNC) != 0; }

private:
    static constexpr std::size_t scm_max_fd = 253;

    iovec part_;
    msghdr header_{};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * scm_max_fd)> control_;
};

/// Sends `bytes` as one datagram with at most max_passed descriptors, which the sender keeps. False with errno set when
/// the kernel took nothing.
bool send_datagram(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept;

/// What receive_datagram() found.
struct Datagram {
    std::size_t size = 0;              ///< bytes written to the caller's buffer
    std::vector<UniqueFd> descriptors; ///< in the order they were sent
    bool descriptors_lost = false;     ///< some did not fit in this process (MSG_CTRUNC)
    bool cut = false;                  ///< it was larger than the caller's buffer (MSG_TRUNC)
};

/// The next datagram; a size of 0 is the end. `error` is set when there is none now (EAGAIN) or the socket is broken.
Datagram receive_datagram(int socket, std::span<std::byte> buffer, std::error_code& error);

/// Whether it is a stream socket that does not listen: what somebody who passes a connection may pass.
bool is_connection(int fd) noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/fd_passing.ipp>
#endif
