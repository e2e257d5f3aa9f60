// SPDX-License-Identifier: MIT
// ControlLink: small messages with descriptors between master and one worker, each in a datagram of its own (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/error.hpp>
#include <cohort/serialize.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <span>

#include <poll.h>
#include <sys/ioctl.h>

namespace cohort::detail {

template <class Message>
struct Packet {
    Message message;
    std::vector<UniqueFd> descriptors;
    bool descriptors_lost = false;
};

/// Beside the user's channel, so that neither waits for the other: a connection is handed over although megabytes of
/// messages are under way. SOCK_SEQPACKET keeps each message together with its descriptors (unix(7)).
template <class Out, class In>
class ControlLink : public std::enable_shared_from_this<ControlLink<Out, In>> {
public:
    ControlLink(const asio::any_io_executor& executor, UniqueFd socket)
        : socket_(executor, std::move(socket)), retry_(executor) {}

    /// Never waits: what the kernel does not take now is kept, with copies of the descriptors, and goes out in order.
    /// False: the other side is gone.
    bool send(const Out& message, std::span<const int> descriptors = {});
    /// The same with a descriptor that is nobody else's, so that keeping it takes no copy.
    bool send_with(const Out& message, UniqueFd descriptor);
    /// Holds this process up until what is kept has gone out, for so long at most.
    void flush_now(std::chrono::milliseconds timeout) noexcept;
    bool all_sent() const noexcept { return queue_.empty(); }
    /// How many messages wait for the other side to read.
    std::size_t kept() const noexcept { return queue_.size(); }

    /// The next packet; nothing when the other side is gone. Throws on bytes that no peer sends.
    Task<std::optional<Packet<In>>> receive();
    /// Until there may be one. False: nobody reads here any more.
    Task<bool> arrival();
    /// One is here already.
    bool has_arrived() const noexcept {
        int size = 0;
        return !ended_ && ::ioctl(socket_.get(), FIONREAD, &size) == 0 && size > 0;
    }
    /// A packet that is here already. Sets ended().
    std::optional<Packet<In>> try_receive();
    bool ended() const noexcept { return ended_; }

    void close() {
        ended_ = true;
        queue_.clear();
        retry_.cancel();
        socket_.close();
    }
    int native_handle() const noexcept { return socket_.get(); }

private:
    static constexpr std::size_t max_size = 8192;

    struct Pending {
        Buffer bytes;
        std::vector<UniqueFd> descriptors;
    };

    std::optional<bool> send_now(std::span<const std::byte> bytes, std::span<const int> descriptors);
    bool keep(Pending pending);
    bool send_kept() noexcept;
    void send_pending();

    AsyncFd socket_;
    asio::steady_timer retry_;
    std::deque<Pending> queue_;
    bool ended_ = false;
};

/// The socket is full, or the kernel is.
bool is_backpressure(int error) noexcept;

/// Empty: not now.
template <class Out, class In>
std::optional<bool> ControlLink<Out, In>::send_now(std::span<const std::byte> bytes, std::span<const int> descriptors) {
    if (!queue_.empty()) return std::nullopt;
    if (send_datagram(socket_.get(), bytes, descriptors)) return true;
    return is_backpressure(errno) ? std::nullopt : std::optional(false);
}

template <class Out, class In>
bool ControlLink<Out, In>::send(const Out& message, std::span<const int> descriptors) {
    if (ended_) return false;
    Pending pending;
    encode(message, pending.bytes);
    if (const auto sent = send_now(pending.bytes.bytes(), descriptors)) return *sent;
    for (const int fd : descriptors) {
        UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (!copy) break; // at the descriptor limit: the message goes without, its receiver sees what is missing
        pending.descriptors.push_back(std::move(copy));
    }
    return keep(std::move(pending));
}

template <class Out, class In>
bool ControlLink<Out, In>::send_with(const Out& message, UniqueFd descriptor) {
    if (ended_) return false;
    Pending pending;
    encode(message, pending.bytes);
    const int number = descriptor.get();
    if (const auto sent = send_now(pending.bytes.bytes(), std::span(&number, 1))) return *sent;
    pending.descriptors.push_back(std::move(descriptor));
    return keep(std::move(pending));
}

template <class Out, class In>
bool ControlLink<Out, In>::keep(Pending pending) {
    queue_.push_back(std::move(pending));
    if (queue_.size() == 1) send_pending();
    return true;
}

template <class Out, class In>
void ControlLink<Out, In>::flush_now(std::chrono::milliseconds timeout) noexcept {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!ended_ && !queue_.empty() && std::chrono::steady_clock::now() < deadline) {
        pollfd room{socket_.get(), POLLOUT, 0};
        if (!send_kept()) return queue_.clear();
        if (!queue_.empty()) ::poll(&room, 1, 5); // the kernel's limits give no event
    }
}

/// False: the other side is gone.
template <class Out, class In>
bool ControlLink<Out, In>::send_kept() noexcept {
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

template <class Out, class In>
void ControlLink<Out, In>::send_pending() {
    if (!send_kept()) return queue_.clear();
    if (queue_.empty()) return;
    const auto again = [self = this->shared_from_this()](std::error_code error) {
        if (!error) self->send_pending();
    };
    if (would_block(errno)) return socket_.async_writable(again);
    retry_.expires_after(std::chrono::milliseconds(5)); // the kernel's limits give no event
    retry_.async_wait(again);
}

template <class Out, class In>
std::optional<Packet<In>> ControlLink<Out, In>::try_receive() {
    if (ended_) return std::nullopt;
    std::array<std::byte, max_size> buffer;
    std::error_code error;
    Datagram datagram = receive_datagram(socket_.get(), buffer, error);
    if (error && would_block(error.value())) return std::nullopt;
    if (error || datagram.size == 0) {
        ended_ = true;
        return std::nullopt;
    }
    Packet<In> packet{{}, std::move(datagram.descriptors), datagram.descriptors_lost};
    if (datagram.cut) throw std::system_error(make_error_code(Errc::message_too_large));
    error = decode(std::span<const std::byte>(buffer).first(datagram.size), packet.message);
    if (error) throw std::system_error(error);
    return packet;
}

template <class Out, class In>
Task<bool> ControlLink<Out, In>::arrival() {
    const auto self = this->shared_from_this();
    if (ended_) co_return false;
    std::error_code error;
    co_await socket_.readable(error);
    co_return !error;
}

template <class Out, class In>
Task<std::optional<Packet<In>>> ControlLink<Out, In>::receive() {
    const auto self = this->shared_from_this();
    for (;;) {
        if (auto packet = try_receive()) co_return packet;
        const bool more = co_await arrival();
        if (!more) co_return std::nullopt;
    }
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/control_link.ipp>
#endif
