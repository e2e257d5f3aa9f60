// SPDX-License-Identifier: MIT
// Mail: a message together with who sent it and what its sender waits for (layer 3).
#pragma once

#include <cohort/detail/access.hpp>
#include <cohort/detail/channel/call.hpp>
#include <cohort/event.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace cohort {

namespace detail {

/// Whether a temporary of this type would be harmed inside a co_await expression (detail/config.hpp).
template <class T>
inline constexpr bool unsafe_temporary =
    COHORT_NAME_MESSAGES_FIRST && std::is_aggregate_v<T> && !std::is_trivially_destructible_v<T>;

/// Makes passing such a temporary a compile error.
template <class T, class Result = void>
Task<Result> refuse_temporary() {
    static_assert(!unsafe_temporary<T>,
                  "cohort: g++ 12 destroys a temporary message twice inside a co_await expression: give it a name "
                  "first, `const Hit hit{...}; co_await channel.send(hit);`");
    return {};
}

} // namespace detail

/// A message received. If it was sent by call(), its sender waits for the reply: destroying the mail without one makes
/// that call fail with Errc::unanswered. It may be kept, and answered later, in any order.
template <class Message, class Reply>
class Mail {
public:
    WorkerId from = 0; ///< the worker that sent it; 0: the other side of the channel
    Message message;

    Mail() = default;
    Mail(Mail&&) = default;
    Mail& operator=(Mail&&) = default;

    /// It was sent by call() and has not been answered yet, and its sender is there and has not given up.
    bool expects_reply() const noexcept { return call_ && call_->is_open(); }
    /// Queues the reply when called, and does not wait for the sender to read it: one that reads no replies is not read
    /// from (ChannelLimits::unread_answers), and holds nobody up. No effect when no reply is expected. Errors: as
    /// Channel::send, if this reply cannot be sent; another one can still be given then.
    [[nodiscard]] Task<> reply(const Reply& reply) {
        if (!call_) return nothing();
        return call_->reply(
            [&](detail::Buffer& out, std::vector<int>& descriptors) { encode(reply, out, limits_, &descriptors); });
    }
    Task<> reply(Reply&&)
        requires detail::unsafe_temporary<Reply>
    {
        return detail::refuse_temporary<Reply>();
    }
    /// Makes the call fail at its sender with Errc::call_failed and these words.
    void fail(std::string_view what) noexcept {
        if (call_) call_->refuse(Errc::call_failed, what);
    }
    /// The sender has given up: a timeout, a cancellation, its end. Noticed while somebody receives or serves there.
    bool cancelled() const noexcept { return call_ && call_->cancelled(); }

private:
    friend detail::Access;

    static Task<> nothing() { co_return; }

    std::shared_ptr<detail::ServedCall> call_;
    SerializeLimits limits_;
};

} // namespace cohort
