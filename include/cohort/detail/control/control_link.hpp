// SPDX-License-Identifier: MIT
// ControlLink: small messages with descriptors between a master and one worker (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/control/message_set.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/error.hpp>
#include <cohort/serialize.hpp>
#include <cohort/task.hpp>
#include <cohort/timeout.hpp>

#include <asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace cohort::detail {

/// One message, not decoded yet, with what came along.
struct Packet {
    template <class M>
    bool holds() const noexcept {
        return number == M::number;
    }
    /// The message that it holds. Throws on bytes that no peer sends.
    template <class M>
    M read() const {
        M message;
        if (const auto error = decode(payload, message)) throw std::system_error(error);
        return message;
    }

    std::uint8_t number = 0;        ///< in its MessageSet
    std::vector<std::byte> payload; ///< encode()
    std::vector<UniqueFd> descriptors;
    bool descriptors_lost = false; ///< some did not fit in this process
};

/// Beside the user's channel, so that neither waits for the other: a connection is delivered although megabytes of
/// messages are under way. SOCK_SEQPACKET keeps each message together with its descriptors (unix(7)). It carries bytes;
/// TypedLink says what is in them.
class ControlLink : public std::enable_shared_from_this<ControlLink> {
public:
    /// Blocks until everything kept has been sent, for `timeout` at most.
    void flush_now(Timeout timeout) noexcept;
    bool all_sent() const noexcept { return queue_.empty(); }
    /// How many messages wait for the other side to read.
    std::size_t kept() const noexcept { return queue_.size(); }

    /// A packet that is here already. Sets ended(). Throws on one that no peer sends.
    std::optional<Packet> try_receive();
    /// Waits for the next packet. Empty when the other side is gone.
    Task<std::optional<Packet>> receive();
    /// Waits until there may be a packet. Returns false when the link has ended.
    Task<bool> arrival();
    /// How many bytes can be received without waiting.
    std::size_t arrived() const noexcept;
    bool has_arrived() const noexcept { return arrived() != 0; }
    /// Of whoever receives here.
    TurnBudget& turn() noexcept { return turn_; }
    bool ended() const noexcept { return ended_; }

    void close();
    int native_handle() const noexcept { return socket_.get(); }

protected:
    /// `kinds`: how many kinds of message come in.
    ControlLink(const asio::any_io_executor& executor, UniqueFd socket, std::uint8_t kinds);
    ~ControlLink() = default;

    /// Never waits: what the kernel does not take now is kept, with copies of the descriptors, and sent later, in
    /// order.
    /// Returns false when the other side is gone.
    bool send_bytes(Buffer bytes, std::span<const int> descriptors);
    /// The same with a descriptor that it takes over, so that keeping it needs no copy.
    bool send_bytes_with(Buffer bytes, UniqueFd descriptor);

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
    std::uint8_t kinds_;
    Timer retry_;
    TurnBudget turn_;
    std::list<Pending> queue_;
    bool ended_ = false;
};

/// A ControlLink on which messages of the set Out go out, and those of In come in.
template <class Out, class In>
class TypedLink : public ControlLink {
public:
    TypedLink(const asio::any_io_executor& executor, UniqueFd socket)
        : ControlLink(executor, std::move(socket), In::size) {}

    template <class M>
    bool send(const M& message, std::span<const int> descriptors = {}) {
        return send_bytes(encoded(message), descriptors);
    }
    template <class M>
    bool send_with(const M& message, UniqueFd descriptor) {
        return send_bytes_with(encoded(message), std::move(descriptor));
    }

private:
    template <class M>
    static Buffer encoded(const M& message) {
        static_assert(Out::template contains<M>, "this side of the link does not send this message");
        Buffer bytes;
        encode_message(message, bytes);
        return bytes;
    }
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/control/control_link.ipp>
#endif
