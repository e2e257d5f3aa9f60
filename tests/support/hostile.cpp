// SPDX-License-Identifier: MIT
#include "hostile.hpp"

#include <cohort/detail/system/fd_passing.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test {

Hostile::Hostile(WorkerBase& self)
    : Hostile(detail::Access::core(self).identity().control, detail::Access::core(self).identity().channel) {}

bool Hostile::send(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
    while (!bytes.empty()) {
        detail::SocketMessage message(bytes, descriptors);
        const ssize_t count = ::sendmsg(socket, message.get(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(count));
            descriptors = {};
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) ended_ = true;
        if (errno == EINTR) continue;
        if (ended_ || (errno != EAGAIN && errno != EWOULDBLOCK)) return false;
        pollfd room{socket, POLLOUT, 0};
        if (::poll(&room, 1, 1) == 0) return false;
    }
    return true;
}

bool Hostile::send_control(std::span<const std::byte> bytes, std::span<const int> descriptors) {
    return send(control_, bytes, descriptors);
}

bool Hostile::send_channel(std::span<const std::byte> bytes, std::span<const int> descriptors) {
    return send(channel_, bytes, descriptors);
}

void Hostile::read_answers() {
    std::array<std::byte, 8192> bytes;
    std::error_code error;
    while (!error && detail::receive_datagram(control_, bytes, error).size != 0) {
    }
    while (::recv(channel_, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
}

bool Hostile::send_whole(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::send(channel_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
        if (count > 0 || errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) ended_ = true;
        if (ended_) return false;
        pollfd room{channel_, POLLOUT, 0};
        ::poll(&room, 1, 100);
    }
    return true;
}

std::vector<std::byte> frame(detail::FrameKind kind, std::uint64_t correlation, std::span<const std::byte> payload,
                             std::uint16_t descriptors) {
    const detail::FrameHeader header{static_cast<std::uint32_t>(payload.size()), kind, descriptors, correlation};
    std::vector<std::byte> bytes(sizeof header + payload.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
    return bytes;
}

std::int64_t resident() {
#if defined(COHORT_SANITIZED)
    return 0; // AddressSanitizer keeps what was freed: its quarantine is larger than all the bounds
#else
    std::ifstream statm("/proc/self/statm");
    std::int64_t pages = 0;
    statm >> pages >> pages;
    return pages * ::sysconf(_SC_PAGESIZE);
#endif
}

} // namespace test
