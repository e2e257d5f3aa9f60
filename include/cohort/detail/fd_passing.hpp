// SPDX-License-Identifier: MIT
// Datagrams with descriptors over a Unix socket: SCM_RIGHTS, unix(7) (layer 2).
#pragma once

#include <cohort/detail/posix.hpp>

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

/// Sends `bytes` as one datagram with at most max_passed descriptors, which the sender keeps. False with errno set when
/// the kernel took nothing.
inline bool send_datagram(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept {
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * max_passed)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    ssize_t sent = 0;
    do {
        sent = System::current().sendmsg(socket, &message);
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

inline void take_descriptors(msghdr& message, std::vector<UniqueFd>& into) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            into.emplace_back(fd);
        }
    }
}

/// The next datagram; a size of 0 is the end. `error` is set when there is none now (EAGAIN) or the socket is broken.
inline Datagram receive_datagram(int socket, std::span<std::byte> buffer, std::error_code& error) {
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * max_passed)> control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t received = 0;
    do {
        received = System::current().recvmsg(socket, &message);
    } while (received < 0 && errno == EINTR);

    Datagram datagram;
    if (received < 0) {
        error = last_error();
        return datagram;
    }
    error.clear();
    datagram.size = static_cast<std::size_t>(received);
    take_descriptors(message, datagram.descriptors);
    datagram.descriptors_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    datagram.cut = (message.msg_flags & MSG_TRUNC) != 0;
    return datagram;
}

} // namespace cohort::detail
