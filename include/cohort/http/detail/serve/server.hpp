// SPDX-License-Identifier: MIT
// What the connections of one server share (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/http/detail/respond/response_head.hpp>
#include <cohort/http/detail/serve/any_acceptor.hpp>
#include <cohort/http/detail/serve/deadlines.hpp>
#include <cohort/http/options.hpp>
#include <cohort/task.hpp>

#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace cohort::http::detail {

class AnyHandler;

/// Between two pieces of a head while others wait for room: so many times what there is for its first byte.
inline constexpr std::uint64_t head_patience = 4;

/// The timeouts of the options, as numbers of ticks.
struct Ticks {
    std::uint64_t head, body, write, idle, linger, linger_in_all, fresh, park;
};

class Server final : public DeadlineList {
    static constexpr std::chrono::milliseconds longest_tick{500};

public:
    /// Whoever made the server keeps the handler until no connection is left.
    Server(const asio::any_io_executor& executor, std::unique_ptr<AnyAcceptor> acceptor, AnyHandler& handler,
           ServerOptions options);

    const ServerOptions& options() const noexcept { return options_; }
    const Ticks& ticks_for() const noexcept { return ticks_; }
    std::string_view date() { return date_.at(std::time(nullptr)); }

    /// How many ticks beyond body_timeout may be spent waiting for a body of which so many bytes have arrived.
    std::uint64_t ticks_at_body_rate(std::uint64_t bytes) const noexcept;

    bool draining() const noexcept { return draining_; }
    /// Returns when it drains; at once when it does already.
    Task<> until_draining();

    /// Until then a connection that stays here while the server drains waits for a last request.
    std::uint64_t farewell() const noexcept { return draining_ ? farewell_ : TimerWheel::never; }
    bool awaits_last_request() const noexcept { return farewell() > after(0); }

    /// The handler of this connection has so much time from now on.
    void limit_handler(TimedConnection& connection, std::chrono::milliseconds time) noexcept {
        limit_work(connection, after(ticks(time)));
    }

    AnyAcceptor& acceptor() noexcept { return *acceptor_; }
    AnyHandler& handler() noexcept { return handler_; }

    /// Whether the remaining connections go to another server, between two requests.
    bool hands_over() const { return draining_ && !cancelled_ && acceptor_->hands_over(); }
    bool hand_over(Socket& socket, std::string state) const { return acceptor_->hand_over(socket, std::move(state)); }
    bool cancelled() const noexcept { return cancelled_; }

    /// Whether connections should end with the response at hand so that others can be accepted.
    bool crowded() const noexcept { return crowded_; }

    /// Whether to wait less for a client that has had its last answer.
    bool hurries() const noexcept { return draining_ || full(); }

    bool full() const noexcept {
        return options_.max_connections != 0 && size() - refusals_ >= options_.max_connections;
    }

    /// While this lives, a connection that is being refused is not counted as one.
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

    /// Returns when a connection has ended, at `until`, or at once when this Task is being cancelled.
    Task<> wait_for_end(std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max());

    /// Returns after a moment, in which others may give memory back.
    Task<> pause();

    /// Returns when there is room; makes some by closing the connection that has been idle for the longest.
    Task<> wait_for_room();

    /// From now on connections end, or go to another server, as soon as what they have received is answered; or after
    /// one more request, see ServerOptions::farewell_timeout.
    void drain();

    /// Once it drains: returns when a connection has ended, or sooner.
    Task<> wait_while_draining();

    /// Ends everything now.
    void cancel() {
        draining_ = cancelled_ = true;
        drain_began_.notify_all();
        cancel_all();
    }

    void log(std::string_view message) const noexcept;

private:
    static std::chrono::milliseconds tick_interval(const ServerOptions& options);

    Ticks make_ticks() const;

    /// Who has said nothing yet, or has had the last answer, is not waited for much longer.
    void hurry(TimedConnection& connection);
    void set_farewell();
    void take_leave(TimedConnection& connection, bool goes_on);
    void close_idle();

    std::unique_ptr<AnyAcceptor> acceptor_;
    AnyHandler& handler_;
    ServerOptions options_;
    Ticks ticks_;
    DateLine date_;
    asio::steady_timer changed_;
    cohort::detail::Notifier drain_began_;
    std::size_t refusals_ = 0;
    std::uint64_t farewell_ = 0; ///< a tick; 0: nobody is waited for
    bool draining_ = false;
    bool cancelled_ = false;
    bool crowded_ = false;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/server.ipp>
#endif
