// SPDX-License-Identifier: MIT
// Deadlines of many connections, kept by one coarse timer (layer 3).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/http/detail/serve/timer_wheel.hpp>

#include <asio/any_io_executor.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace cohort::http::detail {

/// What a connection waits for; it decides what interrupting it means.
enum class Waiting : std::uint8_t {
    nothing, ///< it is not waiting for the client
    fresh,   ///< for the first byte ever
    idle,    ///< for the first byte of another request
    head,
    body,
    write,
    linger,
    upgraded, ///< for bytes of another protocol
};

class DeadlineList;

/// A connection as the timer sees it. It leaves its list before it is destroyed.
class TimedConnection : public TimerWheel::Entry {
public:
    TimedConnection(const TimedConnection&) = delete;
    TimedConnection& operator=(const TimedConnection&) = delete;

    Waiting waiting() const noexcept { return waiting_; }

    /// Whether its work took too long and is being cancelled.
    bool overdue() const noexcept { return overdue_; }

    /// Whether its work is to be cancelled when the server drains.
    bool ends_at_drain() const noexcept { return ends_at_drain_; }
    void end_at_drain(bool wanted) noexcept { ends_at_drain_ = wanted; }

protected:
    TimedConnection() = default;
    ~TimedConnection() = default;

    /// Whether the wait under way was interrupted.
    bool interrupted() const noexcept { return waiting_ != Waiting::nothing && interrupted_; }

    /// Whether the wait was ended because its deadline had passed.
    bool end_waiting() noexcept {
        waiting_ = Waiting::nothing;
        return expired_;
    }

private:
    friend class DeadlineList;
    /// May do nothing, or come too late: it is called again until the waiting has ended.
    virtual void cancel_waiting() = 0;
    virtual void cancel_all() = 0;

    std::uint64_t wait_deadline_ = TimerWheel::never;
    std::uint64_t work_deadline_ = TimerWheel::never;
    Waiting waiting_ = Waiting::nothing;
    bool expired_ = false;
    bool interrupted_ = false;
    bool overdue_ = false;
    bool ends_at_drain_ = false;
};

/// The connections of a server, and the one timer that checks their deadlines a few times a second. A request costs no
/// timer of its own, and without connections the timer does not run.
class DeadlineList : public std::enable_shared_from_this<DeadlineList> {
public:
    DeadlineList(const asio::any_io_executor& executor, std::chrono::milliseconds interval)
        : executor_(executor), timer_(executor), interval_(interval) {}

    std::size_t size() const noexcept { return wheel_.size(); }
    const asio::any_io_executor& executor() const noexcept { return executor_; }

    /// How many ticks certainly cover `duration`.
    std::uint64_t ticks(std::chrono::milliseconds duration) const noexcept {
        const auto count = std::max<std::chrono::milliseconds::rep>(duration.count(), 0);
        return static_cast<std::uint64_t>(count / interval_.count() + (count % interval_.count() != 0)) + 1;
    }

    /// The tick that is `count` from now; deadlines are such numbers.
    std::uint64_t after(std::uint64_t count) const noexcept { return wheel_.now() + count; }

    /// Throws std::bad_alloc, without having added it.
    void add(TimedConnection& connection) {
        if (!timer_.is_set()) arm();
        wheel_.add(connection);
    }
    void remove(TimedConnection& connection) noexcept { wheel_.remove(connection); }

    void begin_waiting(TimedConnection& connection, Waiting what, std::uint64_t tick) noexcept;
    void wait_until(TimedConnection& connection, std::uint64_t tick) noexcept {
        connection.wait_deadline_ = tick;
        set_deadline(connection);
    }

    /// Ends the waiting, if there is any, before its time.
    void interrupt(TimedConnection& connection);

    /// From now on all that the connection does is cancelled at `tick`, whatever it waits for by then.
    void limit_work(TimedConnection& connection, std::uint64_t tick) noexcept {
        connection.work_deadline_ = tick;
        set_deadline(connection);
    }
    /// Removes that limit; true when it has been reached.
    bool end_work(TimedConnection& connection) noexcept {
        connection.work_deadline_ = TimerWheel::never;
        return std::exchange(connection.overdue_, false);
    }

    template <class F>
    void for_each(F visit) {
        wheel_.for_each([&visit](TimerWheel::Entry& entry) { visit(static_cast<TimedConnection&>(entry)); });
    }

    /// Cancels whatever works on this connection.
    void cancel_work(TimedConnection& connection) { connection.cancel_all(); }

    /// Cancels whatever the connections and their handlers wait for.
    void cancel_all() {
        for_each([](TimedConnection& connection) { connection.cancel_all(); });
    }

    void stop() { timer_.cancel(); }

private:
    void set_deadline(TimedConnection& connection) noexcept {
        wheel_.set_deadline(connection, std::min(connection.wait_deadline_, connection.work_deadline_));
    }
    /// The operation that is cancelled may have completed already and be only the first part of a longer one (a piece
    /// of a TLS record): so the next tick cancels again what is under way by then.
    void end_wait(TimedConnection& connection);
    void expire(TimedConnection& connection);
    void arm();
    void tick();

    asio::any_io_executor executor_;
    cohort::detail::Timer timer_;
    std::chrono::milliseconds interval_;
    TimerWheel wheel_;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/deadlines.ipp>
#endif
