// SPDX-License-Identifier: MIT
// The bodies of message_stream.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/message_stream.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/serialize.hpp>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

namespace cohort::detail {

COHORT_DECL MessageStream::MessageStream(const asio::any_io_executor& executor, std::shared_ptr<Transport> transport,
                                         StreamLimits limits, Schema incoming, Schema outgoing)
    : FrameStream(executor, std::move(transport), limits, incoming.bears_descriptors),
      incoming_(incoming),
      outgoing_(outgoing),
      ahead_(limits.max_length) {}

/// What is in the buffer is looked at once more.
COHORT_DECL void MessageStream::forget_looked_at() noexcept {
    in_front_ = false;
    seen_.clear();
    looked_at_ = sets_ahead_ = 0;
}

COHORT_DECL Task<> MessageStream::done() { co_return; }

COHORT_DECL Task<> MessageStream::refused() {
    throw std::system_error(make_error_code(Errc::closed));
    co_return;
}

COHORT_DECL Frame MessageStream::known_front() const noexcept {
    Frame frame;
    std::memcpy(&frame.header, received().data(), sizeof frame.header);
    frame.payload = received().subspan(sizeof frame.header, frame.header.length);
    return frame;
}

COHORT_DECL std::shared_ptr<MessageStream> MessageStream::open(const asio::any_io_executor& executor,
                                                               std::shared_ptr<Transport> transport,
                                                               StreamLimits limits, Schema outgoing, Schema incoming) {
    auto stream = std::make_shared<MessageStream>(executor, std::move(transport), limits, incoming, outgoing);
    stream->push(FrameKind::hello, 0, [&](Buffer& out, std::vector<int>&) { encode(greeting_of(outgoing), out); });
    return stream;
}

/// Deals with everything that is no message: the greeting, answers, cancellations, the end. What concerns messages that
/// have not been received yet has to wait for its turn.
COHORT_DECL bool MessageStream::is_dealt_with(const Frame& frame, bool in_turn) {
    if (!greeted_) {
        expect_greeting(frame, incoming_);
        return greeted_ = true;
    }
    switch (frame.header.kind) {
        case FrameKind::hello: throw std::system_error(make_error_code(Errc::bad_frame));
        case FrameKind::acked:
        case FrameKind::call:
            if (refusal_) {
                if (unread(refusals_) > most_unread_answers()) throw std::system_error(make_error_code(Errc::too_many));
                add(refusals_, refuse_call(*this, frame.header.correlation, *refusal_, {}));
                return true;
            }
            [[fallthrough]];
        case FrameKind::message:
            if (in_turn && last_received_) throw std::system_error(make_error_code(Errc::bad_frame));
            return false;
        case FrameKind::reply:
        case FrameKind::failure:
        case FrameKind::taken:
            if (calls_.is_waiting_for(frame.header.correlation)) // an earlier look may have taken what was passed
                calls_.answered(frame,
                                frame.header.descriptors != 0 ? &passed(frame, in_turn ? 0 : sets_ahead_) : nullptr);
            return true;
        case FrameKind::cancel: return calls_.cancel(frame.header.correlation, in_turn) || in_turn;
        case FrameKind::last: last_received_ = last_received_ || in_turn; return in_turn;
    }
    return in_turn;
}

COHORT_DECL bool MessageStream::may_take() {
    if (end_ == Errc::too_many) throw std::system_error(end_);
    const std::size_t most = most_unread_answers();
    if (unread_answers() <= most || !wants_answer() || !can_send()) return true;
    // The answers that this side waits for may lie behind, and the other side waits in the same way. It is given far
    // more than one that floods the other needs; who has read nothing by then has no such excuse.
    const bool both_wait = calls_.is_waiting() && (holds_much() || received().size() > limits().unreceived);
    if (both_wait && unread_answers() > 16 * most) {
        end(Errc::too_many);
        throw std::system_error(end_);
    }
    return both_wait;
}

/// Whoever waits until answers are read looks again.
COHORT_DECL void MessageStream::end(std::error_code error) {
    on_end(error);
    if (error == Errc::too_many) fail(error);
}

COHORT_DECL Task<bool> MessageStream::arrival() {
    const auto self = shared_from_this();
    const bool steady = co_await switched();
    if (!steady || turn_is_over()) {
        co_await let_others_go_on();
    }
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (has_message()) co_return true;
        if (in_front_) {
            co_await answers_read();
            continue;
        }
        if (last_received_) co_return false;
        const bool more = co_await fill();
        if (!more) co_return false;
    }
}

COHORT_DECL void MessageStream::look_out() {
    if (std::exchange(looks_out_, true)) return;
    try {
        on_arrival();
    } catch (const std::system_error& error) {
        unreceived_fault_ = error.code();
        return;
    }
    read_ahead();
}

COHORT_DECL std::shared_ptr<ServedCall> MessageStream::serve(std::uint64_t call) {
    auto served = std::make_shared<ServedCall>(shared_from_this(), calls_, call);
    if (has_nobody_waiting_) served->cancel();
    return served;
}

COHORT_DECL void MessageStream::end_messages() {
    if (!std::exchange(last_sent_, true)) push(FrameKind::last, 0);
}

COHORT_DECL void MessageStream::refuse_calls(Errc error) {
    refusal_ = error;
    forget_looked_at();
    on_arrival();
    read_ahead();
}

COHORT_DECL void MessageStream::on_arrival() {
    if (!looks_ahead()) return;
    try {
        look_for_answers();
        drop_seen();
        if (in_front_ && may_take()) stop_waiting();
    } catch (const std::system_error& error) {
        end(error.code());
        throw;
    }
}

/// A reply does not wait until the messages before it have been received.
COHORT_DECL void MessageStream::look_for_answers() {
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
COHORT_DECL void MessageStream::drop_seen() {
    while (!seen_.empty() && seen_.front() == position_) {
        seen_.pop_front();
        drop(*front());
    }
}

COHORT_DECL void MessageStream::on_end(std::error_code error) {
    if (received().empty()) forget_looked_at();
    if (!end_) end_ = error;
    calls_.fail_all(error);
    // After a half-close (ECONNRESET, but no hang-up) the other side may still wait; whoever sends nonsense does not.
    has_nobody_waiting_ = has_nobody_waiting_ || error != std::errc::connection_reset || is_cut_off();
    if (has_nobody_waiting_) calls_.cancel_all();
}

COHORT_DECL bool MessageStream::wants_more() const noexcept {
    return looks_ahead() && !end_ && !holds_much() && (received().size() <= limits().unreceived || looked_at_ == 0);
}

COHORT_DECL void MessageStream::count_in(std::shared_ptr<Counts> sum) noexcept {
    sum->sent += counts_->sent;
    sum->received += counts_->received;
    sum->calls_made += counts_->calls_made;
    sum->calls_received += counts_->calls_received;
    sum_ = std::move(sum);
    counts_ = sum_.get();
}

} // namespace cohort::detail
