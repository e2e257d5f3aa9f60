// SPDX-License-Identifier: MIT
// Serving calls: a handler for each message, many at once, cancelled with their call (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/system/forked_copy.hpp>
#include <cohort/mail.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/co_spawn.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <utility>
#include <vector>

namespace cohort::detail {

/// What the handlers of one serve() share.
struct Serving {
    using Signal = std::shared_ptr<asio::cancellation_signal>;
    struct Handler {
        Signal signal;
        std::shared_ptr<ServedCall> call; // null: a message
    };

    explicit Serving(const asio::any_io_executor& executor) : ended(executor) {}
    /// They use what the one who serves owns: none outlives it.
    void cancel_all() {
        for (const Handler& handler : std::list<Handler>(running)) handler.signal->emit(asio::cancellation_type::all);
    }
    /// Nobody receives for a while: calls may be given up all the same.
    void watch() {
        std::vector<std::shared_ptr<ServedCall>> unwatched; // to watch one may end others
        for (const Handler& handler : running)
            if (handler.call && !handler.call->is_looked_after()) unwatched.push_back(handler.call);
        for (const auto& call : unwatched) call->look_out();
    }

    std::list<Handler> running;
    Notifier ended;
};

template <class Handler, class M>
Task<> answer(std::shared_ptr<Handler> handler, M mail) {
    if (mail.cancelled()) co_return;
    try {
        auto work = (*handler)(mail);
        const auto reply = co_await std::move(work);
        end_if_forked_copy(); // its parent replies
        co_await mail.reply(reply);
    } catch (...) {
        end_if_forked_copy();
        mail.fail(exception_text());
    }
}

/// Held by a handler until it has ended, or is dropped with its event loop.
class Running {
public:
    Running(std::shared_ptr<Serving> serving, Serving::Signal signal, std::shared_ptr<ServedCall> call)
        : serving_(std::move(serving)),
          place_(serving_->running.insert(serving_->running.end(), {std::move(signal), std::move(call)})) {}
    Running(Running&&) noexcept = default;
    Running& operator=(Running&&) = delete;
    ~Running() {
        if (!serving_) return;
        if (place_->call) place_->call->cancellation_slot().clear();
        serving_->running.erase(place_);
        serving_->ended.notify_all();
    }

    void operator()(const std::exception_ptr&) const noexcept {}

private:
    std::shared_ptr<Serving> serving_;
    std::list<Serving::Handler>::iterator place_;
};

template <class Handler, class M>
void start_answer(const asio::any_io_executor& executor, const std::shared_ptr<Serving>& serving,
                  const std::shared_ptr<Handler>& handler, M mail) {
    const auto signal = std::make_shared<asio::cancellation_signal>();
    const auto call = Access::call(mail);
    if (call) call->cancellation_slot().assign([signal](asio::cancellation_type type) { signal->emit(type); });
    asio::co_spawn(executor, answer(handler, std::move(mail)),
                   asio::bind_cancellation_slot(signal->slot(), Running(serving, signal, call)));
}

template <class Source, class Handler>
Task<> answer_all(Source& source, std::shared_ptr<Handler> handler, std::shared_ptr<Serving> serving,
                  std::size_t at_once) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    for (;;) {
        while (serving->running.size() >= at_once) {
            serving->watch();
            co_await serving->ended.wait();
        }
        auto mail = co_await source.receive_mail();
        if (!mail) break;
        start_answer(executor, serving, handler, std::move(*mail));
    }
    while (!serving->running.empty()) co_await serving->ended.wait();
}

/// Runs until `source` has no more mail and the last handler has ended. `handler(mail)` returns a Task of the reply.
/// When it is cancelled, or the source fails, the handlers are cancelled, too, and it ends after the last of them.
template <class Source, class Handler>
Task<> serve_calls(Source& source, Handler its_handler, std::size_t at_once) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto handler = std::make_shared<Handler>(std::move(its_handler));
    const auto serving = std::make_shared<Serving>(executor);
    std::exception_ptr failure;
    try {
        co_await answer_all(source, handler, serving, std::max<std::size_t>(at_once, 1));
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) co_return;
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    serving->cancel_all();
    while (!serving->running.empty()) co_await serving->ended.wait();
    co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation()); // as it was
    std::rethrow_exception(failure);
}

} // namespace cohort::detail
