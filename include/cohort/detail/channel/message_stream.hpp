// SPDX-License-Identifier: MIT
// MessageStream: a FrameStream whose sides have told each other what they send, with calls (layer 3).
#pragma once

#include <cohort/detail/channel/call.hpp>
#include <cohort/detail/channel/frame_stream.hpp>
#include <cohort/detail/channel/greeting.hpp>
#include <cohort/detail/config.hpp>

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>

namespace cohort::detail {

/// All of a channel that does not depend on its message types: the greeting, the wait for a message, and calls.
class MessageStream : public FrameStream {
public:
    MessageStream(const asio::any_io_executor& executor, std::shared_ptr<Transport> transport, StreamLimits limits,
                  Schema incoming, Schema outgoing = {});

    /// How many this side has sent, and has taken. An acked message is one, a call and its answer are one call.
    struct Counts {
        std::uint64_t sent = 0;
        std::uint64_t received = 0;
        std::uint64_t calls_made = 0;
        std::uint64_t calls_received = 0;
    };
    const Counts& counts() const noexcept { return *counts_; }
    /// Adds its counts to this sum, and counts there from now on: what has come may be taken when its sender has gone.
    void count_in(std::shared_ptr<Counts> sum) noexcept;

    /// Creates a stream and queues its greeting.
    static std::shared_ptr<MessageStream> open(const asio::any_io_executor& executor,
                                               std::shared_ptr<Transport> transport, StreamLimits limits,
                                               Schema outgoing, Schema incoming);

    /// Queues the message that `fill(Buffer&, std::vector<int>&)` writes, when called; waits while too much is queued.
    template <class Fill>
    Task<> send(Fill&& fill) {
        if (last_sent_) return refused();
        if (can_send()) push_message(std::forward<Fill>(fill));
        return can_send() && has_room() ? done() : room();
    }
    /// Queues a message if that can be done without waiting afterwards. Throws why nothing can be sent.
    template <class Fill>
    bool try_send(Fill&& fill) {
        if (last_sent_ || !can_send()) throw std::system_error(last_sent_ ? Errc::closed : send_error());
        if (!has_room()) return false;
        push_message(std::forward<Fill>(fill));
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

    /// From now on calls and acked messages that were not received are dropped, and their senders get this error. Other
    /// messages stay. Throws as has_message() does.
    void refuse_calls(Errc error);
    /// Whether a call was received that has no answer yet.
    bool is_serving() const noexcept { return calls_.is_serving(); }

    /// Whether a call would not fail because too much that was given up is unread.
    bool takes_calls() const noexcept { return given_up() <= most_unread_answers(); }

    /// Whether a whole message can be taken. Throws when the other side sends another type, or nonsense, and
    /// Errc::too_many when it leaves far too many answers unread.
    bool has_message() { return has_front() && may_take(); }
    /// The same, also of one that has to wait until the other side has read its answers.
    bool has_front();
    /// Decodes and removes the message that has_front() saw. Returns the call to be answered, if it was one. Throws
    /// when it cannot be decoded, and Errc::descriptors_lost when it was removed without its descriptors.
    template <class T>
    std::shared_ptr<ServedCall> take(T& message, const SerializeLimits& limits);
    /// Removes the message without decoding it.
    void discard() { taken(known_front()); }
    /// Waits until there is one. False: the other side has ended. Between the end of the wait and the next suspension
    /// of the caller nothing can take the message away, nor can the caller be cancelled.
    Task<bool> arrival();
    const Schema& incoming() const noexcept { return incoming_; }
    const Schema& outgoing() const noexcept { return outgoing_; }
    /// The other side will send no more messages.
    bool is_over() const noexcept { return ended() || last_received_; }

private:
    COHORT_DECL void look_out() override;
    COHORT_DECL void on_arrival() override;
    COHORT_DECL void on_end(std::error_code error) override;
    COHORT_DECL bool wants_more() const noexcept override;

    template <class Fill>
    void push_message(Fill&& fill) {
        push(FrameKind::message, 0, std::forward<Fill>(fill));
        ++counts_->sent;
    }
    template <class Fill>
    void begin(PendingAnswer& answer, FrameKind kind, Fill&& fill);
    bool is_dealt_with(const Frame& frame, bool in_turn);
    void look_for_answers();
    void drop_seen();
    /// For answers; for calls to be refused; and for cancellations, while nobody receives.
    bool looks_ahead() const noexcept {
        return calls_.is_waiting() || refusal_ || ((last_received_ || looks_out_) && calls_.is_serving());
    }
    std::shared_ptr<ServedCall> taken(const Frame& frame);
    std::shared_ptr<ServedCall> serve(std::uint64_t call);
    void drop(const Frame& frame);
    void forget_looked_at() noexcept;
    static Task<> done();
    static Task<> refused();

    /// Who does not read the answers to what it asks for is answered nothing more: they would fill the memory of this
    /// process. Throws Errc::too_many, which ends the stream.
    bool may_take();
    void end(std::error_code error);
    std::size_t most_unread_answers() const noexcept { return std::max(limits().unread_answers, limits().high_water); }
    bool wants_answer() const noexcept { return known_front().header.kind != FrameKind::message; }
    /// The message that has_front() has seen.
    Frame known_front() const noexcept;

    Counts own_counts_;
    std::shared_ptr<Counts> sum_;
    Counts* counts_ = &own_counts_;
    Schema incoming_;
    Schema outgoing_;
    CallTable calls_;
    std::error_code end_;         // why nothing more will come
    std::optional<Errc> refusal_; // of all calls
    QueuedBytes refusals_;
    bool greeted_ = false;
    bool in_front_ = false; // the front is a message, seen by has_front()
    bool last_sent_ = false;
    bool last_received_ = false;
    bool has_nobody_waiting_ = false; // for an answer

    // Answers are looked for behind messages that have not been received yet.
    FrameReader ahead_;
    std::list<std::uint64_t> seen_; // positions of the frames that were dealt with before their turn
    std::uint64_t position_ = 0;    // of the front
    std::size_t looked_at_ = 0;     // bytes behind the front
    std::size_t sets_ahead_ = 0;    // frames with descriptors among them
};

// Messages

inline bool MessageStream::has_front() {
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
    ++(header.kind == FrameKind::call ? counts_->calls_received : counts_->received);
    if (header.kind == FrameKind::acked) push(FrameKind::taken, header.correlation);
    if (header.kind != FrameKind::call) return nullptr;
    looks_out_ = false;
    return serve(header.correlation);
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

// Calls

template <class Fill>
void MessageStream::begin(PendingAnswer& answer, FrameKind kind, Fill&& fill) {
    if (last_sent_ || !can_send()) return calls_.fail(answer, last_sent_ ? Errc::closed : send_error());
    if (!takes_calls()) return calls_.fail(answer, Errc::too_many);
    try {
        answer.set_frame(push(kind, answer.id(), std::forward<Fill>(fill)));
        ++(kind == FrameKind::call ? counts_->calls_made : counts_->sent);
    } catch (const std::system_error& error) {
        calls_.fail(answer, error.code());
        throw;
    }
    if (end_) return calls_.fail(answer, end_);
    on_arrival();
    read_ahead();
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/message_stream.ipp>
#endif
