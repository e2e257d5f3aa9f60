// SPDX-License-Identifier: MIT
// Serving calls: a handler for each message, many at once, cancelled with their call (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/system/forked_copy.hpp>
#include <cohort/mail.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

namespace cohort::detail {

/// What the handlers of one serve() share.
struct Serving {
    explicit Serving(const asio::any_io_executor& executor) : ended(executor) {}
    std::size_t running = 0;
    Notifier ended;
};

template <class Handler, class M>
Task<> answer(std::shared_ptr<Handler> handler, M mail) {
    try {
        auto work = (*handler)(mail);
        const auto reply = co_await std::move(work);
        co_await mail.reply(reply);
    } catch (const std::exception& error) {
        mail.fail(error.what());
    } catch (...) {
        mail.fail("the handler threw something that is not a std::exception");
    }
}

/// Runs until `source` has no more mail and the last handler has ended. `handler(mail)` returns a Task of the reply.
template <class Source, class Handler>
Task<> serve_calls(Source& source, Handler its_handler, std::size_t at_once) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
        end_if_forked_copy(); // its parent replies
    const auto handler = std::make_shared<Handler>(std::move(its_handler));
    const auto serving = std::make_shared<Serving>(executor);
        end_if_forked_copy();
    for (;;) {
        while (serving->running >= at_once) co_await serving->ended.wait();
        end_if_forked_copy();
        auto mail = co_await source.receive_mail();
        if (!mail) break;
        ++serving->running;
        const auto call = Access::call(*mail);
        const auto slot = call ? call->cancellation_slot() : asio::cancellation_slot();
        asio::co_spawn(executor, answer(handler, std::move(*mail)),
                       // The call owns the slot, so it must live as long as the handler.
                       asio::bind_cancellation_slot(slot, [serving, call](std::exception_ptr) {
                           --serving->running;
                           serving->ended.notify_all();
                       }));
    }
    while (serving->running != 0) co_await serving->ended.wait();
}

} // namespace cohort::detail
