// SPDX-License-Identifier: MIT
// Notifier: coroutines of one event loop wait here until another part of the program wakes them (layer 3).
#pragma once

#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <list>
#include <memory>
#include <system_error>

namespace cohort::detail {

/// A wake-up says "look again", not "it happened": the waiter checks its condition in a loop. Nothing is remembered for
/// those who come later. Cancelling the wait (a timeout, `||`) is possible at any time.
class Notifier {
public:
    explicit Notifier(asio::any_io_executor executor);
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;
    ~Notifier();

    /// Until the next notify. Throws operation_aborted when it is cancelled.
    Task<> wait();

    void notify_one();
    /// Resumes the first waiter before this returns: call it only where anything that waiter may do is harmless.
    void resume_one();
    void notify_all();
    /// Whoever waits gets Errc::closed: the object that it waits at is about to go.
    void close();
    bool has_waiters() const noexcept { return !waiters_.empty(); }

private:
    struct Waiter {
        virtual ~Waiter() = default;
        virtual void resume(const asio::any_io_executor& executor, std::error_code error, bool now) = 0;
    };
    using Waiters = std::list<std::unique_ptr<Waiter>>;

    template <class Handler>
    struct HandlerWaiter;
    template <class Handler>
    void enlist(Handler handler);
    void complete(Waiters::iterator position, std::error_code error, bool now = false);

    asio::any_io_executor executor_;
    Waiters waiters_;
};

/// False in a coroutine that has not been suspended since it was started: it must asio::post() first. For operations
/// that take something out of a queue for their caller; they must not suspend between taking it and returning. asio's
/// `||` discards the result of the side that ends second; this makes taking and ending one step in a freshly started
/// side, too, so that nothing taken is discarded. Costs nothing in a coroutine that has been suspended before.
inline auto switched() noexcept { return asio::detail::awaitable_thread_has_context_switched{}; }

/// Throws Errc::closed if the object that this is the lifetime of went while the calling coroutine was suspended.
void throw_if_gone(const std::weak_ptr<bool>& alive);

/// Throws operation_aborted if the calling coroutine was cancelled while it was suspended.
void throw_if_cancelled(const asio::cancellation_state& state);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/notifier.ipp>
#endif
