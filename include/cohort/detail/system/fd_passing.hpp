// SPDX-License-Identifier: MIT
// Bytes with descriptors over a Unix socket: SCM_RIGHTS, unix(7) (layer 2).
#pragma once

#include <cohort/detail/system/system.hpp>

#include <array>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <fcntl.h>

namespace cohort::detail {

/// How many descriptors one datagram may carry. The kernel allows 253 (SCM_MAX_FD); batches of 16 already cost a third
/// of what single ones do.
inline constexpr std::size_t max_passed = 16;

/// Two connected ends that keep the bounds of what is sent, close-on-exec and non-blocking.
inline std::pair<UniqueFd, UniqueFd> make_socketpair(int type) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) throw_last_error("socketpair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// One run of bytes and some descriptors, in the form in which the kernel wants them.
class SocketMessage {
public:
    /// To send. The descriptors stay the sender's.
    SocketMessage(std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept
        : part_{const_cast<std::byte*>(bytes.data()), bytes.size()} {
        header_.msg_iov = &part_;
        header_.msg_iovlen = 1;
        if (descriptors.empty()) return;
        header_.msg_control = control_.data();
        header_.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* const control = CMSG_FIRSTHDR(&header_);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(control), descriptors.data(), descriptors.size_bytes());
    }
    /// To receive into.
    explicit SocketMessage(std::span<std::byte> room) noexcept : part_{room.data(), room.size()} {
        header_.msg_iov = &part_;
        header_.msg_iovlen = 1;
        header_.msg_control = control_.data();
        header_.msg_controllen = control_.size();
    }
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

inline void SocketMessage::take_descriptors(std::vector<UniqueFd>& into) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&header_); control != nullptr; control = CMSG_NXTHDR(&header_, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
            into.emplace_back(fd);
        }
    }
}

/// Sends `bytes` as one datagram with at most max_passed descriptors, which the sender keeps. False with errno set when
/// the kernel took nothing.
inline bool send_datagram(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept {
    SocketMessage message(bytes, descriptors);
    ssize_t sent = 0;
    do {
        sent = System::current().sendmsg(socket, message.get());
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/// What receive_datagram() found.
struct Datagram {
    std::size_t size = 0;              ///< bytes written to the caller's buffer
    std::vector<UniqueFd> descriptors; ///< in the order they were sent
    bool descriptors_lost = false;     ///< some did not fit in this process (MSG_CTRUNC)
    bool cut = false;                  ///< it was larger than the caller's buffer (MSG_TRUNC)
};

/// The next datagram; a size of 0 is the end. `error` is set when there is none now (EAGAIN) or the socket is broken.
inline Datagram receive_datagram(int socket, std::span<std::byte> buffer, std::error_code& error) {
    SocketMessage message(buffer);
    ssize_t received = 0;
    do {
        received = System::current().recvmsg(socket, message.get());
    } while (received < 0 && errno == EINTR);

    Datagram datagram;
    if (received < 0) {
        error = last_error();
        return datagram;
    }
    error.clear();
    datagram.size = static_cast<std::size_t>(received);
    message.take_descriptors(datagram.descriptors);
    datagram.descriptors_lost = message.descriptors_lost();
    datagram.cut = message.cut();
    return datagram;
}

} // namespace cohort::detail
