// SPDX-License-Identifier: MIT
// The bodies of notifier.hpp (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/error.hpp>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <iterator>
#include <utility>

namespace cohort::detail {

template <class Handler>
struct Notifier::HandlerWaiter final : Waiter {
    explicit HandlerWaiter(Handler handler) : handler_(std::move(handler)) {}

    void resume(const asio::any_io_executor& executor, std::error_code error, bool now) override {
        asio::get_associated_cancellation_slot(handler_).clear();
        auto run = [handler = std::move(handler_), error]() mutable { std::move(handler)(error); };
        if (now)
            asio::dispatch(executor, std::move(run));
        else
            asio::post(executor, std::move(run));
    }

    Handler handler_;
};

template <class Handler>
void Notifier::enlist(Handler handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    waiters_.push_back(std::make_unique<HandlerWaiter<Handler>>(std::move(handler)));
    if (!slot.is_connected()) return;
    const auto self = std::prev(waiters_.end());
    slot.assign([this, self](asio::cancellation_type) { complete(self, asio::error::operation_aborted); });
}

COHORT_DECL Notifier::Notifier(asio::any_io_executor executor) : executor_(std::move(executor)) {}

COHORT_DECL Notifier::~Notifier() = default;

COHORT_DECL void Notifier::notify_one() {
    if (!waiters_.empty()) complete(waiters_.begin(), {});
}

COHORT_DECL void Notifier::resume_one() {
    if (!waiters_.empty()) complete(waiters_.begin(), {}, true);
}

COHORT_DECL void Notifier::notify_all() {
    while (!waiters_.empty()) complete(waiters_.begin(), {});
}

COHORT_DECL void Notifier::close() {
    while (!waiters_.empty()) complete(waiters_.begin(), Errc::closed);
}

COHORT_DECL Task<> Notifier::wait() {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(std::error_code)>(
        [this](auto handler) { enlist(std::move(handler)); }, asio::use_awaitable);
}

COHORT_DECL void Notifier::complete(Waiters::iterator position, std::error_code error, bool now) {
    const auto waiter = std::move(*position);
    waiters_.erase(position);
    waiter->resume(executor_, error, now);
}

COHORT_DECL void throw_if_gone(const std::weak_ptr<bool>& alive) {
    if (alive.expired()) throw std::system_error(make_error_code(Errc::closed));
}

COHORT_DECL void throw_if_cancelled(const asio::cancellation_state& state) {
    if (state.cancelled() != asio::cancellation_type::none)
        throw std::system_error(asio::error::make_error_code(asio::error::operation_aborted));
}

} // namespace cohort::detail
