// SPDX-License-Identifier: MIT
// What the connections of one server share (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/http/detail/respond/response_head.hpp>
#include <cohort/http/detail/serve/deadlines.hpp>
#include <cohort/http/options.hpp>
#include <cohort/task.hpp>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace cohort::http::detail {

/// The options with every time as a number of ticks.
struct Ticks {
    std::uint64_t head, body, write, idle, linger, fresh, park;
};

class Server final : public DeadlineList {
    static constexpr std::chrono::milliseconds longest_tick{500};

public:
    Server(const asio::any_io_executor& executor, ServerOptions options)
        : DeadlineList(executor, tick_interval(options)),
          options_(std::move(options)),
          ticks_(make_ticks()),
          changed_(executor) {}

    const ServerOptions& options() const noexcept { return options_; }
    const Ticks& ticks_for() const noexcept { return ticks_; }
    std::string_view date() { return date_.at(std::time(nullptr)); }

    /// How many ticks a body of so many bytes may be waited for, beyond its timeout.
    std::uint64_t ticks_at_body_rate(std::uint64_t bytes) const noexcept {
        const std::uint64_t rate = options_.body_rate;
        return rate == 0 ? UINT32_MAX
                         : ticks(std::chrono::milliseconds(bytes / rate * 1000 + bytes % rate * 1000 / rate));
    }

    bool draining() const noexcept { return draining_; }

    /// The handler of this connection has so much time from now on.
    void limit_handler(TimedConnection& connection, std::chrono::milliseconds time) noexcept {
        limit_work(connection, after(ticks(time)));
    }

    /// While connections wait for room nobody accepts, and so nobody would learn that there is nothing to accept.
    template <Acceptor A>
    void ask_whether_stopping(A& acceptor) {
        if constexpr (requires {
                          { acceptor.stopping() } -> std::same_as<bool>;
                      })
            stopping_ = [&acceptor] { return acceptor.stopping(); };
    }

    /// Connections that are left go to another server, between two requests.
    template <HandsOver A>
    void hand_over_by(A& acceptor) {
        hands_over_ = [&acceptor] { return acceptor.hands_over(); };
        hand_over_ = [&acceptor](Socket& socket, std::string state) {
            return acceptor.hand_over(socket, std::move(state));
        };
    }
    bool hands_over() const { return draining_ && !cancelled_ && hands_over_ && hands_over_(); }
    bool hand_over(Socket& socket, std::string state) const { return hand_over_(socket, std::move(state)); }
    bool cancelled() const noexcept { return cancelled_; }

    /// Whether connections should end with the response at hand so that others can be accepted.
    bool crowded() const noexcept { return crowded_; }

    bool full() const noexcept {
        return options_.max_connections != 0 && size() - refusals_ >= options_.max_connections;
    }

    /// A connection that is told that there is no room takes none while this lives.
    class Refusal {
    public:
        explicit Refusal(Server& server) noexcept : server_(server) { ++server_.refusals_; }
        Refusal(const Refusal&) = delete;
        Refusal& operator=(const Refusal&) = delete;
        ~Refusal() { --server_.refusals_; }

    private:
        Server& server_;
    };

    /// A connection is gone.
    void ended(TimedConnection& connection) {
        remove(connection);
        changed_.cancel();
    }

    /// Returns when a connection has ended or so much time, or at once when this Task is being cancelled.
    Task<> wait_for_end(std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max()) {
        std::error_code ignored;
        changed_.expires_at(until);
        co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }

    /// Returns after a moment, in which others may give memory back.
    Task<> pause() {
        std::error_code ignored;
        asio::steady_timer timer(executor(), longest_tick / 5);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }

    /// Returns when there is room; makes some by closing the connection that has been idle for the longest.
    Task<> wait_for_room() {
        while (full()) {
            crowded_ = true;
            if (stopping_ && !draining_ && stopping_()) drain();
            close_idle();
            co_await wait_for_end(std::chrono::steady_clock::now() + longest_tick);
        }
        crowded_ = false;
    }

    /// From now on connections end, or go to another server, as soon as what they have received is answered.
    void drain() {
        draining_ = true;
        const bool goes_on = hands_over();
        for_each([this, goes_on](TimedConnection& connection) {
            const bool is_fresh = connection.waiting() == Waiting::fresh;
            const bool is_told = connection.waiting() == Waiting::idle || connection.waiting() == Waiting::upgraded;
            if (is_told || (is_fresh && goes_on)) interrupt(connection);
            if (is_fresh && !goes_on) wait_until(connection, std::min(connection.deadline(), after(ticks_.fresh)));
        });
    }

    /// Ends everything now.
    void cancel() {
        draining_ = cancelled_ = true;
        cancel_all();
    }

    void log(std::string_view message) const noexcept {
        try {
            if (options_.log)
                options_.log(message);
            else
                std::fprintf(stderr, "cohort: %.*s\n", static_cast<int>(message.size()), message.data());
        } catch (...) { // A log that fails is no reason to fail.
        }
    }

private:
    static std::chrono::milliseconds tick_interval(const ServerOptions& options) {
        // Nobody sees it when these two last longer by a half.
        const auto lax = std::min({options.fresh_timeout, options.park_after, longest_tick * 2}) * 4;
        auto shortest = std::min({options.head_timeout, options.body_timeout, options.write_timeout,
                                  options.idle_timeout, options.linger_timeout, lax});
        if (options.handler_timeout.count() > 0) shortest = std::min(shortest, options.handler_timeout);
        return std::clamp(shortest / 8, std::chrono::milliseconds(5), longest_tick);
    }

    Ticks make_ticks() const {
        const auto& given = options_;
        return {ticks(given.head_timeout), ticks(given.body_timeout),   ticks(given.write_timeout),
                ticks(given.idle_timeout), ticks(given.linger_timeout), ticks(given.fresh_timeout),
                ticks(given.park_after)};
    }

    void close_idle() {
        TimedConnection* oldest = nullptr;
        for_each([&oldest](TimedConnection& connection) {
            if (connection.waiting() != Waiting::idle) return;
            if (oldest == nullptr || connection.deadline() < oldest->deadline()) oldest = &connection;
        });
        if (oldest != nullptr) interrupt(*oldest);
    }

    std::function<bool()> stopping_;
    std::function<bool()> hands_over_;
    std::function<bool(Socket&, std::string)> hand_over_;
    ServerOptions options_;
    Ticks ticks_;
    DateLine date_;
    asio::steady_timer changed_;
    std::size_t refusals_ = 0;
    bool draining_ = false;
    bool cancelled_ = false;
    bool crowded_ = false;
};

} // namespace cohort::http::detail
