// SPDX-License-Identifier: MIT
// ControlLink: small messages with descriptors between a master and one worker (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/serialize.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace cohort::detail {

/// One message with what came along.
template <class Message>
struct Packet {
    Message message;
    std::vector<UniqueFd> descriptors;
    bool descriptors_lost = false; ///< some did not fit in this process
};

/// Beside the user's channel, so that neither waits for the other: a connection is delivered although megabytes of
/// messages are under way. SOCK_SEQPACKET keeps each message together with its descriptors (unix(7)). It carries bytes;
/// TypedLink says what is in them.
class ControlLink : public std::enable_shared_from_this<ControlLink> {
public:
    ControlLink(const asio::any_io_executor& executor, UniqueFd socket);

    /// Holds this process up until what is kept has gone out, for so long at most.
    void flush_now(std::chrono::milliseconds timeout) noexcept;
    bool all_sent() const noexcept { return queue_.empty(); }
    /// How many messages wait for the other side to read.
    std::size_t kept() const noexcept { return queue_.size(); }

    /// Until there may be a packet. False: nobody reads here any more.
    Task<bool> arrival();
    /// One is here already.
    bool has_arrived() const noexcept;
    bool ended() const noexcept { return ended_; }

    void close();
    int native_handle() const noexcept { return socket_.get(); }

protected:
    ~ControlLink() = default;

    /// Never waits: what the kernel does not take now is kept, with copies of the descriptors, and goes out in order.
    /// False: the other side is gone.
    bool send_bytes(Buffer bytes, std::span<const int> descriptors);
    /// The same with a descriptor that is nobody else's, so that keeping it takes no copy.
    bool send_bytes_with(Buffer bytes, UniqueFd descriptor);
    /// A packet that is here already. Sets ended(). Throws on one that no peer sends.
    std::optional<Packet<std::vector<std::byte>>> try_receive_bytes();

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

/// A ControlLink on which Out goes out and In comes in.
template <class Out, class In>
class TypedLink : public ControlLink {
public:
    using ControlLink::ControlLink;

    bool send(const Out& message, std::span<const int> descriptors = {}) {
        return send_bytes(encoded(message), descriptors);
    }
    bool send_with(const Out& message, UniqueFd descriptor) {
        return send_bytes_with(encoded(message), std::move(descriptor));
    }

    /// A packet that is here already. Sets ended(). Throws on bytes that no peer sends.
    std::optional<Packet<In>> try_receive() {
        auto bytes = try_receive_bytes();
        if (!bytes) return std::nullopt;
        std::optional<Packet<In>> packet(std::in_place);
        packet->descriptors = std::move(bytes->descriptors);
        packet->descriptors_lost = bytes->descriptors_lost;
        if (const auto error = decode(bytes->message, packet->message)) throw std::system_error(error);
        return packet;
    }
    /// The next packet; nothing when the other side is gone.
    Task<std::optional<Packet<In>>> receive() {
        const auto self = shared_from_this();
        for (;;) {
            if (auto packet = try_receive()) co_return packet;
            const bool more = co_await arrival();
            if (!more) co_return std::nullopt;
        }
    }

private:
    static Buffer encoded(const Out& message) {
        Buffer bytes;
        encode(message, bytes);
        return bytes;
    }
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/control_link.ipp>
#endif
