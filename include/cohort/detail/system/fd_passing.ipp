// SPDX-License-Identifier: MIT
// The bodies of fd_passing.hpp (layer 2).
#pragma once

#include <cohort/detail/system/fd_passing.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <cstring>

namespace cohort::detail {

COHORT_DECL std::pair<UniqueFd, UniqueFd> make_socketpair(int type) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) throw_last_error("socketpair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

COHORT_DECL SocketMessage::SocketMessage(std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept
    : part_{const_cast<std::byte*>(bytes.data()), bytes.size()} {
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    if (descriptors.empty()) return;
    header_.msg_control = control_.data();
    header_.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    std::memset(control_.data(), 0, header_.msg_controllen); // the padding leaves the process, too
    cmsghdr* const control = CMSG_FIRSTHDR(&header_);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(control), descriptors.data(), descriptors.size_bytes());
}

COHORT_DECL SocketMessage::SocketMessage(std::span<std::byte> room) noexcept : part_{room.data(), room.size()} {
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    header_.msg_control = control_.data();
    header_.msg_controllen = control_.size();
}

COHORT_DECL void SocketMessage::take_descriptors(std::vector<UniqueFd>& into) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&header_); control != nullptr; control = CMSG_NXTHDR(&header_, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
            into.emplace_back(fd).share();
        }
    }
}

COHORT_DECL bool send_datagram(int socket, std::span<const std::byte> bytes,
                               std::span<const int> descriptors) noexcept {
    SocketMessage message(bytes, descriptors);
    ssize_t sent = 0;
    do {
        sent = System::current().sendmsg(socket, message.get());
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

COHORT_DECL Datagram receive_datagram(int socket, std::span<std::byte> buffer, std::error_code& error) {
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

COHORT_DECL bool is_connection(int fd) noexcept {
    const auto option = [fd](int name) {
        int value = 0;
        socklen_t size = sizeof value;
        return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
    };
    return option(SO_TYPE) == SOCK_STREAM && option(SO_ACCEPTCONN) == 0;
}

} // namespace cohort::detail
