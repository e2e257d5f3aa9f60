// SPDX-License-Identifier: MIT
// MessageStream: a FrameStream whose sides have told each other what they send, with calls (layer 3).
#pragma once

#include <cohort/detail/channel/call.hpp>
#include <cohort/detail/channel/frame_stream.hpp>
#include <cohort/detail/channel/greeting.hpp>
#include <cohort/serialize.hpp>

#include <asio/this_coro.hpp>

#include <deque>
#include <memory>

namespace cohort::detail {

/// All of a channel that does not depend on its message types: the greeting, the wait for a message, and calls.
class MessageStream : public FrameStream {
public:
    MessageStream(const asio::any_io_executor& executor, std::unique_ptr<Transport> transport, StreamLimits limits,
                  Schema incoming, Schema outgoing = {})
        : FrameStream(executor, std::move(transport), limits),
          incoming_(incoming),
          outgoing_(outgoing),
          ahead_(limits.max_length) {}

    /// Made, and its greeting is on the way.
    static std::shared_ptr<MessageStream> open(const asio::any_io_executor& executor,
                                               std::unique_ptr<Transport> transport, StreamLimits limits,
                                               Schema outgoing, Schema incoming);

    /// Queues the message that `fill(Buffer&, std::vector<int>&)` writes, when called; waits while too much is queued.
    template <class Fill>
    Task<> send(Fill&& fill) {
        if (last_sent_) return refused();
        if (can_send()) push(FrameKind::message, 0, std::forward<Fill>(fill));
        return can_send() && has_room() ? done() : room();
    }
    /// Queues a message if that can be done without waiting afterwards. Throws why nothing can be sent.
    template <class Fill>
    bool try_send(Fill&& fill) {
        if (last_sent_ || !can_send()) throw std::system_error(last_sent_ ? Errc::closed : send_error());
        if (!has_room()) return false;
        push(FrameKind::message, 0, std::forward<Fill>(fill));
        return true;
    }
    /// Queues a call; its reply will be a T.
    template <class T, class Fill>
    std::shared_ptr<PendingReply<T>> call(const SerializeLimits& limits, Fill&& fill) {
        auto reply = std::make_shared<PendingReply<T>>(shared_from_this(), calls_, limits);
        begin(*reply, FrameKind::call, std::forward<Fill>(fill));
        return reply;
    }
    /// Queues a message; the answer is that the other side has taken it.
    template <class Fill>
    std::shared_ptr<PendingAnswer> send_acked(Fill&& fill) {
        auto answer = std::make_shared<PendingAnswer>(shared_from_this(), calls_, FrameKind::taken);
        begin(*answer, FrameKind::acked, std::forward<Fill>(fill));
        return answer;
    }

    /// Ends sending messages and calls, behind those that were sent. Answers still go both ways.
    void end_messages();

    /// Whether a whole message has been read. Throws when the other side sends another type, or nonsense.
    bool has_message();
    /// Decodes the message that has_message() saw, and takes it. Gives what its sender waits for, if it was a call.
    /// Throws when it is none, and Errc::descriptors_lost when it was taken without its descriptors.
    template <class T>
    std::shared_ptr<ServedCall> take(T& message, const SerializeLimits& limits);
    /// Takes the message unseen.
    void discard() { taken(known_front()); }
    /// Waits until there is one. False: the other side has ended. Between the end of the wait and the next suspension
    /// of the caller nothing can take the message away, nor can the caller be cancelled.
    Task<bool> arrival();
    const Schema& incoming() const noexcept { return incoming_; }
    const Schema& outgoing() const noexcept { return outgoing_; }
    /// The other side will send no more messages.
    bool is_over() const noexcept { return ended() || last_received_; }

private:
    void on_arrival() override;
    void on_end(std::error_code error) override;
    bool wants_more() const noexcept override;

    template <class Fill>
    void begin(PendingAnswer& answer, FrameKind kind, Fill&& fill);
    bool is_dealt_with(const Frame& frame, bool in_turn);
    void look_for_answers();
    void drop_seen();
    /// For answers; and for cancellations, when nobody receives any more.
    bool looks_ahead() const noexcept { return calls_.is_waiting() || (last_received_ && calls_.is_serving()); }
    std::shared_ptr<ServedCall> taken(const Frame& frame);
    void drop(const Frame& frame);
    void forget_received() noexcept {
        in_front_ = false;
        seen_.clear();
        looked_at_ = sets_ahead_ = 0;
    }
    static Task<> done() { co_return; }
    static Task<> refused() {
        throw std::system_error(make_error_code(Errc::closed));
        co_return;
    }

    /// The message that has_message() has seen.
    Frame known_front() const noexcept {
        Frame frame;
        std::memcpy(&frame.header, received().data(), sizeof frame.header);
        frame.payload = received().subspan(sizeof frame.header, frame.header.length);
        return frame;
    }

    Schema incoming_;
    Schema outgoing_;
    CallTable calls_;
    std::error_code end_; // why nothing more will come
    bool greeted_ = false;
    bool in_front_ = false; // a message, which has been judged
    bool last_sent_ = false;
    bool last_received_ = false;

    // Answers are looked for behind messages that have not been received yet.
    FrameReader ahead_;
    std::deque<std::uint64_t> seen_; // positions of the frames that were dealt with before their turn
    std::uint64_t position_ = 0;     // of the front
    std::size_t looked_at_ = 0;      // bytes behind the front
    std::size_t sets_ahead_ = 0;     // frames with descriptors among them
};

inline std::shared_ptr<MessageStream> MessageStream::open(const asio::any_io_executor& executor,
                                                          std::unique_ptr<Transport> transport, StreamLimits limits,
                                                          Schema outgoing, Schema incoming) {
    auto stream = std::make_shared<MessageStream>(executor, std::move(transport), limits, incoming, outgoing);
    stream->push(FrameKind::hello, 0, [&](Buffer& out, std::vector<int>&) { encode(greeting_of(outgoing), out); });
    return stream;
}

// Messages

inline bool MessageStream::has_message() {
    while (!in_front_) {
        const auto frame = front();
        if (!frame) return false;
        if (!seen_.empty() && seen_.front() == position_)
            seen_.pop_front();
        else if (!is_dealt_with(*frame, true))
            in_front_ = true;
        if (!in_front_) drop(*frame);
    }
    return true;
}

/// Deals with everything that is no message: the greeting, answers, cancellations, the end. What concerns messages that
/// have not been received yet has to wait for its turn.
inline bool MessageStream::is_dealt_with(const Frame& frame, bool in_turn) {
    if (!greeted_) {
        expect_greeting(frame, incoming_);
        return greeted_ = true;
    }
    switch (frame.header.kind) {
        case FrameKind::hello: throw std::system_error(make_error_code(Errc::bad_frame));
        case FrameKind::message:
        case FrameKind::acked:
        case FrameKind::call:
            if (in_turn && last_received_) throw std::system_error(make_error_code(Errc::bad_frame));
            return false;
        case FrameKind::reply:
        case FrameKind::failure:
        case FrameKind::taken:
            calls_.answered(frame, frame.header.descriptors != 0 ? &passed(frame, in_turn ? 0 : sets_ahead_) : nullptr);
            return true;
        case FrameKind::cancel: return calls_.cancel(frame.header.correlation) || in_turn;
        case FrameKind::last: last_received_ = last_received_ || in_turn; return in_turn;
    }
    return in_turn;
}

template <class T>
std::shared_ptr<ServedCall> MessageStream::take(T& message, const SerializeLimits& limits) {
    const Frame frame = known_front();
    const auto error = decode_frame(frame, frame.header.descriptors != 0 ? &passed(frame) : nullptr, message, limits);
    if (error && error != Errc::descriptors_lost) throw std::system_error(error);
    auto call = taken(frame);
    if (!error) return call;
    if (call) call->refuse(Errc::descriptors_lost, {});
    throw std::system_error(error);
}

inline std::shared_ptr<ServedCall> MessageStream::taken(const Frame& frame) {
    const FrameHeader header = frame.header;
    drop(frame);
    if (header.kind == FrameKind::acked) push(FrameKind::taken, header.correlation);
    if (header.kind != FrameKind::call) return nullptr;
    return std::make_shared<ServedCall>(shared_from_this(), calls_, header.correlation);
}

inline void MessageStream::drop(const Frame& frame) {
    const std::size_t size = sizeof(FrameHeader) + frame.header.length;
    if (looked_at_ != 0) {
        looked_at_ -= size;
        if (frame.header.descriptors != 0) --sets_ahead_;
    }
    position_ += size;
    in_front_ = false;
    consume(frame);
    if (looks_ahead()) read_ahead();
}

inline Task<bool> MessageStream::arrival() {
    const auto self = shared_from_this();
    const bool steady = co_await switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (has_message()) co_return true;
        if (last_received_) co_return false;
        const bool more = co_await fill();
        if (!more) co_return false;
    }
}

inline void MessageStream::end_messages() {
    if (!std::exchange(last_sent_, true)) push(FrameKind::last, 0);
}

// Calls

template <class Fill>
void MessageStream::begin(PendingAnswer& answer, FrameKind kind, Fill&& fill) {
    if (last_sent_ || !can_send()) return calls_.fail(answer, last_sent_ ? Errc::closed : send_error());
    try {
        push(kind, answer.id(), std::forward<Fill>(fill));
    } catch (const std::system_error& error) {
        calls_.fail(answer, error.code());
        throw;
    }
    if (end_) return calls_.fail(answer, end_);
    on_arrival();
    read_ahead();
}

inline void MessageStream::on_arrival() {
    if (!looks_ahead()) return;
    try {
        look_for_answers();
        drop_seen();
    } catch (const std::system_error& error) {
        on_end(error.code());
        throw;
    }
}

/// A reply does not wait until the messages before it have been received.
inline void MessageStream::look_for_answers() {
    for (std::error_code error;;) {
        const auto frame = ahead_.next(received().subspan(looked_at_), error);
        if (error) throw std::system_error(error);
        if (!frame) return;
        if (is_dealt_with(*frame, false)) seen_.push_back(position_ + looked_at_);
        if (frame->header.descriptors != 0) ++sets_ahead_;
        looked_at_ += sizeof(FrameHeader) + frame->header.length;
    }
}

/// What was dealt with takes no memory, unless it stands behind a message.
inline void MessageStream::drop_seen() {
    while (!seen_.empty() && seen_.front() == position_) {
        seen_.pop_front();
        drop(*front());
    }
}

inline void MessageStream::on_end(std::error_code error) {
    if (received().empty()) forget_received();
    if (!end_) end_ = error;
    calls_.fail_all(error);
    if (error == Errc::closed || is_cut_off()) calls_.cancel_all();
}

inline bool MessageStream::wants_more() const noexcept {
    return looks_ahead() && !end_ && (received().size() <= limits().unreceived || looked_at_ == 0);
}

} // namespace cohort::detail
