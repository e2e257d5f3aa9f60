// SPDX-License-Identifier: MIT
// The two sides of a call: one that waits for its reply, and one that owes it (layer 3).
#pragma once

#include <cohort/detail/channel/encoded_message.hpp>
#include <cohort/detail/channel/frame_stream.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/timeout.hpp>

#include <asio/cancellation_signal.hpp>
#include <asio/steady_timer.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace cohort::detail {

/// Payload of a failure frame: why a call gets no reply.
struct CallFailure {
    std::int32_t error = 0; ///< of Errc
    std::string what;
};

class PendingAnswer;
class ServedCall;

/// The answers that one side waits for, and the calls it has to answer. Part of its stream; it does not own the
/// entries.
class CallTable {
public:
    std::uint64_t add(PendingAnswer& answer);
    void remove(std::uint64_t id) noexcept;
    bool is_waiting() const noexcept { return !pending_.empty(); }
    bool is_waiting_for(std::uint64_t id) const { return pending_.contains(id); }
    /// A reply, failure or taken frame has arrived. Ignored when nobody waits for it any more.
    void answered(const Frame& frame, Passed* passed);
    void fail(PendingAnswer& answer, std::error_code error);
    /// No more answers will come.
    void fail_all(std::error_code error);

    void add(std::uint64_t id, ServedCall& call);
    void remove(std::uint64_t id, const ServedCall& call) noexcept;
    bool is_serving() const noexcept { return !served_.empty(); }
    /// False: there is no such call. One that has not been taken yet, since others stand before it (not `in_turn`), is
    /// given up when it is.
    bool cancel(std::uint64_t id, bool in_turn);
    /// Nobody wants any answer any more.
    void cancel_all();

private:
    std::unordered_map<std::uint64_t, PendingAnswer*> pending_;
    std::unordered_map<std::uint64_t, ServedCall*> served_;
    std::unordered_map<std::uint64_t, ServedCall*> given_up_; // before they were taken: null
    std::uint64_t last_ = 0;
};

/// A call or acked message that awaits its answer; destroying this gives the answer up.
class PendingAnswer {
public:
    /// `expected`: the kind of frame that is the answer.
    PendingAnswer(std::shared_ptr<FrameStream> stream, CallTable& table, FrameKind expected);
    PendingAnswer(const PendingAnswer&) = delete;
    PendingAnswer& operator=(const PendingAnswer&) = delete;
    COHORT_DECL virtual ~PendingAnswer();

    std::uint64_t id() const noexcept { return id_; }
    /// What asks for it.
    void set_frame(QueuedFrame frame) noexcept { frame_ = frame; }
    void complete(std::error_code error, std::string what = {});
    void complete(const Frame& frame, Passed* passed);
    /// Waits for the answer. Throws when there is none: ETIMEDOUT, operation_aborted when it was cancelled, and others.
    COHORT_LAZY Task<> wait(Timeout timeout);

private:
    virtual std::error_code take_reply(const Frame&, Passed*) { return {}; }

    std::shared_ptr<FrameStream> stream_;
    CallTable& table_;
    asio::steady_timer timer_;
    FrameKind expected_;
    std::uint64_t id_;
    QueuedFrame frame_;
    std::error_code error_;
    std::string what_;
    bool done_ = false;
};

/// A call whose reply is a T.
template <class T>
class PendingReply final : public PendingAnswer {
public:
    PendingReply(std::shared_ptr<FrameStream> stream, CallTable& table, const SerializeLimits& limits)
        : PendingAnswer(std::move(stream), table, FrameKind::reply), limits_(limits) {}

    T take() { return std::move(*reply_); }

private:
    std::error_code take_reply(const Frame& frame, Passed* passed) override {
        return decode_frame(frame, passed, reply_.emplace(), limits_);
    }

    SerializeLimits limits_;
    std::optional<T> reply_;
};

/// A call that was received. If it is destroyed without a reply, its caller is told so.
class ServedCall {
public:
    ServedCall(std::shared_ptr<FrameStream> stream, CallTable& table, std::uint64_t id);
    ServedCall(const ServedCall&) = delete;
    ServedCall& operator=(const ServedCall&) = delete;
    ~ServedCall();

    /// Queues the reply that `fill` writes, as FrameStream::push does; only the first one counts. Waits for nobody: how
    /// much is queued is limited by MessageStream, which takes no more calls. A caller that is gone or has cancelled
    /// gets none. Throws when it cannot be sent; the call is then still unanswered.
    template <class Fill>
    Task<> reply(Fill&& fill) {
        if (is_open()) stream_->push(FrameKind::reply, id_, std::forward<Fill>(fill));
        end();
        return done();
    }
    void refuse(Errc error, std::string_view what) noexcept;
    bool is_open() const noexcept { return !answered_ && !cancelled_ && stream_->can_send(); }

    void cancel();
    bool cancelled() const noexcept { return cancelled_; }
    /// That it is given up is noticed also while nobody receives.
    void look_out() { stream_->look_out(); }
    bool is_looked_after() const noexcept { return stream_->looks_out(); }
    /// Cancels what runs on behalf of this call.
    asio::cancellation_slot cancellation_slot() noexcept { return signal_.slot(); }

private:
    void end() noexcept;
    static Task<> done();

    std::shared_ptr<FrameStream> stream_;
    CallTable& table_;
    std::uint64_t id_;
    asio::cancellation_signal signal_;
    bool answered_ = false;
    bool cancelled_ = false;
};

/// Tells the caller, or the sender of an acked message, why there will be no answer.
QueuedFrame refuse_call(FrameStream& stream, std::uint64_t id, Errc error, std::string_view what) noexcept;

/// The other side went before it answered.
bool is_loss(std::error_code error) noexcept;

/// What public functions return: waits for the reply and takes it.
template <class T>
Task<T> reply_of(std::shared_ptr<PendingReply<T>> reply, Timeout timeout) {
    co_await reply->wait(timeout);
    co_return reply->take();
}

COHORT_LAZY Task<> answer_of(std::shared_ptr<PendingAnswer> answer, Timeout timeout);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/call.ipp>
#endif
