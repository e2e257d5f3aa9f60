// SPDX-License-Identifier: MIT
// The bodies of listener.hpp (layer 3).
#pragma once

#include <cohort/listener.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/listen/departure.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>

namespace cohort {

COHORT_DECL Listener::Listener(std::shared_ptr<Intake> intake, std::function<void()> on_close,
                               const detail::Departure* departure)
    : intake_(std::move(intake)), on_close_(std::move(on_close)), departure_(departure) {}

COHORT_DECL Listener& Listener::operator=(Listener&& other) noexcept {
    if (this != &other) {
        close();
        intake_ = std::move(other.intake_);
        on_close_ = std::exchange(other.on_close_, nullptr);
        departure_ = other.departure_;
    }
    return *this;
}

COHORT_DECL Task<std::optional<Socket>> Listener::accept() {
    const auto intake = intake_;
    const bool steady = co_await detail::switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    detail::throw_if_cancelled(cancellation);
    co_return co_await intake->accept();
}

COHORT_DECL std::chrono::milliseconds Listener::patience() const noexcept {
    using std::chrono::milliseconds;
    if (departure_ == nullptr || !departure_->others_go_on) return milliseconds(0);
    const auto left = departure_->patience_ends - std::chrono::steady_clock::now();
    return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(left));
}

COHORT_DECL void Listener::close() {
    if (const auto tell = std::exchange(on_close_, nullptr)) {
        intake_->close();
        tell();
    }
}

} // namespace cohort
