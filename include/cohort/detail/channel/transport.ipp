// SPDX-License-Identifier: MIT
// The bodies of transport.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/transport.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace cohort::detail {

COHORT_DECL ssize_t Transport::write(std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept {
    SocketMessage message(bytes, descriptors);
    return System::current().send(socket_.get(), message.get());
}

COHORT_DECL ssize_t Transport::read(std::span<std::byte> room, std::list<Passed>& passed) {
    return receive(room, passed);
}

COHORT_DECL ssize_t Transport::receive(std::span<std::byte> room, std::list<Passed>& passed) {
    SocketMessage message(room);
    const ssize_t count = System::current().recv(socket_.get(), message.get());
    if (count < 0) return count;
    Passed arrived;
    message.take_descriptors(arrived.descriptors);
    arrived.count = arrived.descriptors.size();
    arrived.lost = message.descriptors_lost();
    if (arrived.lost || !arrived.descriptors.empty()) passed.push_back(std::move(arrived));
    return count;
}

COHORT_DECL bool Transport::wait_writable_now(std::chrono::milliseconds timeout) noexcept {
    pollfd writable{socket_.get(), POLLOUT, 0};
    const auto longest = std::chrono::milliseconds(std::numeric_limits<int>::max());
    return ::poll(&writable, 1, static_cast<int>(std::min(timeout, longest).count())) != 0;
}

COHORT_DECL void Transport::wait_writable(Action then) { socket_.when_writable(std::move(then)); }

COHORT_DECL void Transport::end_writing() noexcept { ::shutdown(socket_.get(), SHUT_WR); }

COHORT_DECL std::size_t Transport::unread() const noexcept {
    int size = 0;
    return ::ioctl(socket_.get(), FIONREAD, &size) == 0 ? static_cast<std::size_t>(size) : 0;
}

COHORT_DECL bool Transport::is_cut_off() const noexcept {
    pollfd hung_up{socket_.get(), 0, 0};
    return !socket_.is_open() || (::poll(&hung_up, 1, 0) == 1 && (hung_up.revents & POLLHUP) != 0);
}

} // namespace cohort::detail
