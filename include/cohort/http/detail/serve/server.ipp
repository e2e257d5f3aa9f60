// SPDX-License-Identifier: MIT
// The bodies of server.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/server.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/printable.hpp>

#include <algorithm>

namespace cohort::http::detail {

COHORT_DECL Server::Server(const asio::any_io_executor& executor, std::unique_ptr<AnyAcceptor> acceptor,
                           AnyHandler& handler, ServerOptions options)
    : DeadlineList(executor, tick_interval(options)),
      acceptor_(std::move(acceptor)),
      handler_(handler),
      options_(std::move(options)),
      ticks_(make_ticks()),
      changed_(executor),
      drain_began_(executor) {}

COHORT_DECL std::uint64_t Server::ticks_at_body_rate(std::uint64_t bytes) const noexcept {
    const std::uint64_t rate = options_.body_rate;
    return rate == 0 ? UINT32_MAX : ticks(std::chrono::milliseconds(bytes / rate * 1000 + bytes % rate * 1000 / rate));
}

COHORT_DECL Task<> Server::wait_for_end(std::chrono::steady_clock::time_point until) {
    std::error_code ignored;
    changed_.expires_at(until);
    co_await cohort::detail::until_expired(changed_, ignored);
}

COHORT_DECL Task<> Server::pause() {
    std::error_code ignored;
    asio::steady_timer timer(executor(), longest_tick / 5);
    co_await cohort::detail::until_expired(timer, ignored);
}

COHORT_DECL Task<> Server::wait_for_room() {
    while (full()) {
        crowded_ = true;
        for_each([this](TimedConnection& connection) { hurry(connection); });
        // Nothing is accepted while a connection waits for room, so the end of the acceptor has to be polled.
        if (!draining_ && acceptor_->stopping()) drain();
        close_idle();
        co_await wait_for_end(std::chrono::steady_clock::now() + longest_tick);
    }
    crowded_ = false;
}

COHORT_DECL Task<> Server::until_draining() {
    while (!draining_) co_await drain_began_.wait();
}

COHORT_DECL void Server::drain() {
    draining_ = true;
    drain_began_.notify_all();
    const bool goes_on = hands_over();
    set_farewell();
    for_each([this, goes_on](TimedConnection& connection) { take_leave(connection, goes_on); });
}

COHORT_DECL void Server::set_farewell() {
    const auto patience =
        hands_over() ? std::chrono::milliseconds(0) : std::min(options_.farewell_timeout, acceptor_->patience());
    if (patience.count() <= 0)
        farewell_ = 0;
    else if (farewell_ == 0)
        farewell_ = after(ticks(patience));
}

/// `goes_on`: another server takes what is between two requests.
COHORT_DECL void Server::take_leave(TimedConnection& connection, bool goes_on) {
    const bool is_fresh = connection.waiting() == Waiting::fresh;
    const bool is_idle = connection.waiting() == Waiting::idle;
    if (awaits_last_request() && (is_idle || is_fresh))
        wait_until(connection, std::min(connection.deadline(), farewell()));
    else if (is_idle || connection.waiting() == Waiting::upgraded || (is_fresh && goes_on))
        interrupt(connection);
    else
        hurry(connection);
    if (connection.ends_at_drain()) cancel_work(connection);
}

COHORT_DECL Task<> Server::wait_while_draining() {
    // The acceptor does not tell when its patience ends, as it does when everything stops, so it has to be asked.
    if (farewell_ == 0)
        co_await wait_for_end();
    else
        co_await wait_for_end(std::chrono::steady_clock::now() + longest_tick / 2);
    if (farewell_ != 0 && acceptor_->patience().count() <= 0) drain();
}

COHORT_DECL void Server::log(std::string_view message) const noexcept {
    try {
        const std::string shown = cohort::detail::printable(message);
        if (options_.log)
            options_.log(shown);
        else
            cohort::detail::log_line(cohort::LogLevel::error, shown);
    } catch (...) { // A log that fails is no reason to fail.
    }
}

COHORT_DECL std::chrono::milliseconds Server::tick_interval(const ServerOptions& options) {
    // It does not matter when fresh_timeout and park_after last half as long again.
    const auto lax = std::min({options.fresh_timeout, options.park_after, longest_tick * 2}) * 4;
    auto shortest = std::min({options.head_timeout, options.body_timeout, options.write_timeout, options.idle_timeout,
                              options.linger_timeout, options.linger_time, lax});
    if (options.handler_timeout.count() > 0) shortest = std::min(shortest, options.handler_timeout);
    return std::clamp(shortest / 8, std::chrono::milliseconds(5), longest_tick);
}

COHORT_DECL Ticks Server::make_ticks() const {
    const auto& given = options_;
    return {ticks(given.head_timeout),  ticks(given.body_timeout),   ticks(given.write_timeout),
            ticks(given.idle_timeout),  ticks(given.linger_timeout), ticks(given.linger_time),
            ticks(given.fresh_timeout), ticks(given.park_after)};
}

COHORT_DECL void Server::hurry(TimedConnection& connection) {
    if (connection.waiting() == Waiting::fresh || connection.waiting() == Waiting::linger)
        wait_until(connection, std::min(connection.deadline(), after(ticks_.fresh)));
    else if (connection.waiting() == Waiting::head && crowded_)
        wait_until(connection, std::min(connection.deadline(), after(ticks_.fresh * head_patience)));
}

COHORT_DECL void Server::close_idle() {
    TimedConnection* oldest = nullptr;
    for_each([&oldest](TimedConnection& connection) {
        if (connection.waiting() != Waiting::idle) return;
        if (oldest == nullptr || connection.deadline() < oldest->deadline()) oldest = &connection;
    });
    if (oldest != nullptr) interrupt(*oldest);
}

} // namespace cohort::http::detail
