// SPDX-License-Identifier: MIT
// Channel<T>: typed messages between two processes, as awaitables (layer 3).
#pragma once

#include <cohort/detail/access.hpp>
#include <cohort/detail/channel/connect.hpp>
#include <cohort/detail/channel/message_stream.hpp>
#include <cohort/detail/channel/serve_calls.hpp>
#include <cohort/duplex.hpp>
#include <cohort/mail.hpp>
#include <cohort/serialize.hpp>
#include <cohort/timeout.hpp>
#include <cohort/transport.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace cohort {

namespace detail {

template <class T>
struct Directions {
    using Out = T;
    using In = T;
    using Reverse = T;
};
template <class A, class B>
struct Directions<Duplex<A, B>> {
    using Out = A;
    using In = B;
    using Reverse = Duplex<B, A>;
};

} // namespace detail

/// Bounds of a channel.
using ChannelLimits = detail::StreamLimits;

/// One end of a typed, ordered, reliable channel.
///
/// Channel<T> sends and receives T; Channel<Duplex<A, B>> sends A and receives B, and its other end the reverse.
/// It lives on one event loop. It ends when either side closes, or its process goes: what had been sent before is still
/// received, then receive() gives nothing. Both sides announce a hash of their types first, so that two programs built
/// with different messages get Errc::schema_mismatch and never garbage.
///
///     auto [a, b] = Channel<Hit>::pair(io.get_executor());
///     co_await a.send(Hit{"/"});
///     std::optional<Hit> hit = co_await b.receive();
///
/// `Via` is what carries it: UnixStream or SharedMemory, with the same interface, limits and errors.
template <class T, class Via = UnixStream>
class Channel {
public:
    using Out = typename detail::Directions<T>::Out;
    using In = typename detail::Directions<T>::In;
    using Mail = cohort::Mail<In, Out>;
    /// The type of the other end.
    using Peer = Channel<typename detail::Directions<T>::Reverse, Via>;

    static_assert(ChannelTransport<Via>,
                  "cohort: the second argument of Channel must be what carries it: UnixStream or SharedMemory");
    static_assert(detail::require_message<Out>() && detail::require_message<In>());

    /// Two connected ends, for example one for each side of a fork.
    static std::pair<Channel, Peer> pair(const asio::any_io_executor& executor, ChannelLimits limits = {}) {
        auto [mine, other] = Via::pair(executor, limits);
        return {Channel(executor, std::move(mine), limits), Peer(executor, std::move(other), limits)};
    }

    /// Connects to the ChannelAcceptor on this path; waits while its backlog is full. Whoever may create the file can
    /// listen there: peer_credentials() of native_handle() tells who does. Errors: ENOENT, ECONNREFUSED: nobody
    /// listens; EACCES; ENAMETOOLONG; Errc::bad_endpoint.
    [[nodiscard]] static Task<Channel> connect(asio::any_io_executor executor, Endpoint path,
                                               ChannelLimits limits = {}) {
        auto socket = co_await detail::connect_to(executor, std::move(path));
        co_return Channel(executor, std::move(socket), limits);
    }

    /// Takes over a connected stream socket. If its other end is made from a socket too, that one uses accepted().
    Channel(const asio::any_io_executor& executor, detail::UniqueFd socket, ChannelLimits limits = {})
        : Channel(executor, Via::connected(executor, std::move(socket), limits), limits) {}
    /// The side that did not connect.
    static Channel accepted(const asio::any_io_executor& executor, detail::UniqueFd socket, ChannelLimits limits = {}) {
        return Channel(executor, Via::accepted(executor, std::move(socket), limits), limits);
    }
    Channel(const asio::any_io_executor& executor, std::shared_ptr<detail::Transport> transport, ChannelLimits limits)
        : stream_(detail::MessageStream::open(executor, std::move(transport), limits, detail::Schema::of<Out>(),
                                              detail::Schema::of<In>())),
          limits_{.bytes = limits.max_length} {}
    Channel(Channel&&) = default;
    Channel& operator=(Channel&& other) noexcept {
        if (stream_ && stream_ != other.stream_) stream_->close();
        stream_ = std::move(other.stream_);
        limits_ = other.limits_;
        return *this;
    }
    ~Channel() {
        if (stream_) stream_->close();
    }

    /// Queues the message when called and waits while too much is queued (backpressure). Queued messages share a system
    /// call. Cancelling the wait does not withdraw the message: it is still sent, once.
    /// Errors: Errc::closed after close(); Errc::message_too_large, nested_too_deep: this message cannot be sent, the
    /// channel is unharmed; EPIPE, ECONNRESET: the other side is gone.
    [[nodiscard]] Task<> send(const Out& message) { return stream_->send(encoded(message)); }
    Task<> send(Out&&)
        requires detail::unsafe_temporary<Out>
    {
        return detail::refuse_temporary<Out>();
    }

    /// Queues the message if there is room, without waiting; false: send() would wait. For loops where every nanosecond
    /// counts. Errors: as send().
    bool try_send(const Out& message) { return stream_->try_send(encoded(message)); }

    /// Sends the message and waits until the other side has received it, that is, taken it out of the channel. Errors:
    /// as send(), and ETIMEDOUT; ECONNRESET when the other side ends before; Errc::too_many: it has left so much unread
    /// that was given up here, by a timeout or a cancellation (ChannelLimits::unread_answers).
    [[nodiscard]] Task<> send_acked(const Out& message, Timeout timeout = {}) {
        return detail::answer_of(stream_->send_acked(encoded(message)), timeout);
    }
    Task<> send_acked(Out&&, Timeout = {})
        requires detail::unsafe_temporary<Out>
    {
        return detail::refuse_temporary<Out>();
    }

    /// Sends the message, when called, and waits for the reply to it. Many calls may be pending, in both directions;
    /// replies arrive in any order, and overtake messages that nobody has received yet. Cancelling the wait, or its
    /// timeout, cancels the handler on the other side; a reply that comes later is dropped.
    /// Errors: as send_acked(); Errc::unanswered: the other side dropped the call;
    /// call_failed: its handler threw (with that text); Errc::descriptors_lost.
    [[nodiscard]] Task<In> call(const Out& request, Timeout timeout = {}) {
        return detail::reply_of(stream_->template call<In>(limits_, encoded(request)), timeout);
    }
    Task<In> call(Out&&, Timeout = {})
        requires detail::unsafe_temporary<Out>
    {
        return detail::refuse_temporary<Out, In>();
    }

    /// The next message; nothing when the other side has closed, or this one has. Cancelling (a timeout, `||`) loses no
    /// message, except in a nested `||`: if the outer one ends while the inner one already has a result, Asio drops
    /// that. Errors: Errc::schema_mismatch, bad_frame, bad_message, message_too_large: the peer does not use these
    /// types; nothing more can be received.
    [[nodiscard]] Task<std::optional<In>> receive();
    /// The same, with the means to reply. receive() leaves calls unanswered.
    [[nodiscard]] Task<std::optional<Mail>> receive_mail();
    /// Gives every message to `handler`, a function `Task<Out>(const In&)`, until the channel ends; its result is the
    /// reply, what it throws is the caller's Errc::call_failed. Up to `at_once` handlers run at the same time. A call
    /// that is given up cancels its handler.
    template <class Handler>
    [[nodiscard]] Task<> serve(Handler handler, std::size_t at_once = 1024) {
        static_assert(
            requires(const In& request) {
                { handler(request) } -> std::same_as<Task<Out>>;
            }, "cohort: the handler given to serve must be callable as Task<Out>(const In&)");
        auto of_mail = [handler = std::move(handler)](const Mail& mail) mutable { return handler(mail.message); };
        return detail::serve_calls(*this, std::move(of_mail), at_once);
    }

    /// A message that is here already, without waiting.
    std::optional<In> try_receive();
    /// Whether try_receive() would give one.
    bool has_message() { return stream_->has_message(); }

    /// Waits until everything sent is in the kernel's hands: it arrives even if this process dies now.
    [[nodiscard]] Task<> flush() { return stream_->flush(); }

    /// Ends sending: later sends and calls fail, the other side sees the end behind what was sent. Receiving goes on,
    /// and so do replies in both directions.
    void finish() { stream_->end_messages(); }
    /// Ends both directions, as destruction does: a pending receive() gives nothing. What was sent still arrives.
    void close() { stream_->close(); }
    bool is_open() const noexcept { return stream_->is_open() && !stream_->is_over(); }
    int native_handle() const noexcept { return stream_->native_handle(); }

private:
    friend detail::Access;

    Channel(std::shared_ptr<detail::MessageStream> stream, const SerializeLimits& limits) noexcept
        : stream_(std::move(stream)), limits_(limits) {}
    auto encoded(const Out& message) const {
        return [&message, this](detail::Buffer& out, std::vector<int>& descriptors) {
            encode(message, out, limits_, &descriptors);
        };
    }

    std::shared_ptr<detail::MessageStream> stream_;
    SerializeLimits limits_;
};

template <class T, class Via>
std::optional<typename Channel<T, Via>::In> Channel<T, Via>::try_receive() {
    if (!stream_->has_message()) return std::nullopt;
    std::optional<In> message(std::in_place);
    stream_->take(*message, limits_);
    return message;
}

template <class T, class Via>
Task<std::optional<typename Channel<T, Via>::In>> Channel<T, Via>::receive() {
    detail::MessageStream& stream = *stream_; // the channel may be moved meanwhile
    const SerializeLimits limits = limits_;
    // The fast path is only safe where nobody can cancel between here and the return: see detail::switched().
    const bool steady = co_await detail::switched();
    if (!steady || !stream.has_message() || stream.turn_is_over()) {
        const bool arrived = co_await stream.arrival();
        if (!arrived) co_return std::nullopt;
    }
    if (!stream.has_message()) co_return std::nullopt;
    std::optional<In> message(std::in_place);
    stream.take(*message, limits);
    co_return message;
}

template <class T, class Via>
Task<std::optional<typename Channel<T, Via>::Mail>> Channel<T, Via>::receive_mail() {
    detail::MessageStream& stream = *stream_;
    const SerializeLimits limits = limits_;
    const bool arrived = co_await stream.arrival();
    if (!arrived) co_return std::nullopt;
    std::optional<Mail> mail(std::in_place);
    detail::Access::call(*mail) = stream.take(mail->message, limits);
    detail::Access::set_limits(*mail, limits);
    co_return mail;
}

} // namespace cohort
