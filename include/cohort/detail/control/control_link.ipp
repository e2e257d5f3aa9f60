// SPDX-License-Identifier: MIT
// The bodies of control_link.hpp (layer 3).
#pragma once

#include <cohort/detail/control/control_link.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/error.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

namespace cohort::detail {

/// The socket is full, or a kernel limit is reached.
COHORT_DECL bool is_backpressure(int error) noexcept { return would_block(error) || is_kernel_limit(error); }

COHORT_DECL ControlLink::ControlLink(const asio::any_io_executor& executor, UniqueFd socket, std::uint8_t kinds)
    : socket_(executor, std::move(socket)), kinds_(kinds), retry_(executor) {}

COHORT_DECL std::size_t ControlLink::arrived() const noexcept {
    int size = 0;
    return !ended_ && ::ioctl(socket_.get(), FIONREAD, &size) == 0 ? static_cast<std::size_t>(size) : 0;
}

COHORT_DECL void ControlLink::close() {
    ended_ = true;
    queue_.clear();
    retry_.cancel();
    socket_.close();
}

/// Empty: would block.
COHORT_DECL std::optional<bool> ControlLink::send_now(std::span<const std::byte> bytes,
                                                      std::span<const int> descriptors) {
    if (!queue_.empty()) return std::nullopt;
    if (send_datagram(socket_.get(), bytes, descriptors)) return true;
    return is_backpressure(errno) ? std::nullopt : std::optional(false);
}

COHORT_DECL bool ControlLink::send_bytes(Buffer bytes, std::span<const int> descriptors) {
    if (ended_) return false;
    if (const auto sent = send_now(bytes.bytes(), descriptors)) return *sent;
    Pending pending{std::move(bytes), {}};
    for (const int fd : descriptors) {
        UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (!copy) break; // at the descriptor limit: the message goes without, its receiver sees what is missing
        pending.descriptors.push_back(std::move(copy));
    }
    return keep(std::move(pending));
}

COHORT_DECL bool ControlLink::send_bytes_with(Buffer bytes, UniqueFd descriptor) {
    if (ended_) return false;
    const int number = descriptor.get();
    if (const auto sent = send_now(bytes.bytes(), std::span(&number, 1))) return *sent;
    Pending pending{std::move(bytes), {}};
    pending.descriptors.push_back(std::move(descriptor));
    return keep(std::move(pending));
}

COHORT_DECL bool ControlLink::keep(Pending pending) {
    queue_.push_back(std::move(pending));
    if (queue_.size() == 1) send_pending();
    return true;
}

COHORT_DECL void ControlLink::flush_now(Timeout timeout) noexcept {
    const auto deadline = timeout.deadline();
    while (!ended_ && !queue_.empty() && std::chrono::steady_clock::now() < deadline) {
        pollfd room{socket_.get(), POLLOUT, 0};
        if (!send_kept()) return queue_.clear();
        if (!queue_.empty()) ::poll(&room, 1, 5); // the kernel's limits give no event
    }
}

/// False: the other side is gone.
COHORT_DECL bool ControlLink::send_kept() noexcept {
    while (!queue_.empty()) {
        std::array<int, max_passed> descriptors{};
        const std::size_t count = std::min(queue_.front().descriptors.size(), max_passed);
        for (std::size_t i = 0; i < count; ++i) descriptors[i] = queue_.front().descriptors[i].get();
        if (!send_datagram(socket_.get(), queue_.front().bytes.bytes(), std::span(descriptors).first(count)))
            return is_backpressure(errno);
        queue_.pop_front();
    }
    return true;
}

COHORT_DECL void ControlLink::send_pending() {
    if (!send_kept()) return queue_.clear();
    if (queue_.empty()) return;
    const Action again = action<&ControlLink::send_pending>(this, shared_from_this());
    if (would_block(errno)) return socket_.when_writable(again);
    retry_.expire_after(std::chrono::milliseconds(5), again); // the kernel's limits give no event
}

COHORT_DECL std::optional<Packet> ControlLink::try_receive() {
    if (ended_) return std::nullopt;
    std::array<std::byte, max_size> buffer;
    std::error_code error;
    Datagram datagram = receive_datagram(socket_.get(), buffer, error);
    // The other side closed before it had read everything. The kernel says so first; what it has sent comes after that.
    if (error == std::errc::connection_reset) datagram = receive_datagram(socket_.get(), buffer, error);
    if (error && would_block(error.value())) return std::nullopt;
    if (error || datagram.size == 0) {
        ended_ = true;
        return std::nullopt;
    }
    if (datagram.cut) throw std::system_error(make_error_code(Errc::message_too_large));
    const auto number = static_cast<std::uint8_t>(buffer.front());
    if (number >= kinds_) throw std::system_error(make_error_code(Errc::bad_message));
    const auto end = buffer.begin() + static_cast<std::ptrdiff_t>(datagram.size);
    return Packet{number, {buffer.begin() + 1, end}, std::move(datagram.descriptors), datagram.descriptors_lost};
}

COHORT_DECL Task<std::optional<Packet>> ControlLink::receive() {
    const auto self = shared_from_this();
    for (;;) {
        if (turn_.is_over()) {
            co_await turn_.let_others_go_on();
        }
        if (auto packet = try_receive()) co_return packet;
        const bool more = co_await arrival();
        if (!more) co_return std::nullopt;
    }
}

COHORT_DECL Task<bool> ControlLink::arrival() {
    const auto self = shared_from_this();
    if (ended_) co_return false;
    std::error_code error;
    co_await socket_.readable(error);
    turn_.begin();
    co_return !error;
}

} // namespace cohort::detail
