// SPDX-License-Identifier: MIT
// Deadlines of many connections, kept by one coarse timer (layer 3).
#pragma once

#include <cohort/detail/config.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <system_error>

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
};

class WatchList;

/// A connection as the timer sees it. Setting a deadline stores a number; no timer is touched.
class Watched {
public:
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

    Waiting waiting() const noexcept { return waiting_; }
    std::uint64_t deadline() const noexcept { return deadline_; }

    /// Ends the waiting, if there is any; `expired` tells whether the deadline has passed.
    void interrupt(bool expired) {
        if (waiting_ == Waiting::nothing) return;
        expired_ = expired;
        cancel_waiting();
    }

    void wait_until(std::uint64_t tick) noexcept { deadline_ = tick; }

protected:
    Watched() = default;
    ~Watched() = default;

    void begin_waiting(Waiting what, std::uint64_t tick) noexcept {
        waiting_ = what;
        deadline_ = tick;
        expired_ = false;
    }

    /// Whether the deadline passed meanwhile.
    bool end_waiting() noexcept {
        waiting_ = Waiting::nothing;
        return expired_;
    }

private:
    friend class WatchList;
    virtual void cancel_waiting() = 0;
    virtual void cancel_all() = 0;

    Watched* next_ = nullptr;
    Watched* previous_ = nullptr;
    std::uint64_t deadline_ = 0;
    Waiting waiting_ = Waiting::nothing;
    bool expired_ = false;
    bool listed_ = false;
};

/// The connections of a server, oldest first, and the timer that looks at them all a few times a second: nothing per
/// request, and nothing at all while there are none.
class WatchList : public std::enable_shared_from_this<WatchList> {
public:
    WatchList(const asio::any_io_executor& executor, std::chrono::milliseconds interval)
        : timer_(executor), interval_(interval) {}

    std::size_t size() const noexcept { return size_; }
    asio::any_io_executor executor() { return timer_.get_executor(); }

    /// How many ticks certainly cover `duration`.
    std::uint64_t ticks(std::chrono::milliseconds duration) const noexcept {
        const auto count = std::max<std::chrono::milliseconds::rep>(duration.count(), 0);
        return static_cast<std::uint64_t>((count + interval_.count() - 1) / interval_.count()) + 1;
    }

    /// The tick that is `count` from now; deadlines are such numbers.
    std::uint64_t after(std::uint64_t count) const noexcept { return now_ + count; }

    void add(Watched& watched);
    void remove(Watched& watched) noexcept;

    template <class F>
    void for_each(F visit) {
        for (Watched* at = first_; at != nullptr;) {
            Watched& watched = *at;
            at = at->next_;
            visit(watched);
        }
    }

    /// Cancels whatever the connections and their handlers wait for.
    void cancel_all() {
        for_each([](Watched& watched) { watched.cancel_all(); });
    }

    void stop() { timer_.cancel(); }

private:
    void arm();
    void tick();

    asio::steady_timer timer_;
    std::chrono::milliseconds interval_;
    std::uint64_t now_ = 0;
    Watched* first_ = nullptr;
    Watched* last_ = nullptr;
    std::size_t size_ = 0;
    bool armed_ = false;
};

inline void WatchList::add(Watched& watched) {
    watched.previous_ = last_;
    watched.listed_ = true;
    (last_ != nullptr ? last_->next_ : first_) = &watched;
    last_ = &watched;
    ++size_;
    if (!armed_) arm();
}

inline void WatchList::remove(Watched& watched) noexcept {
    if (!watched.listed_) return;
    watched.listed_ = false;
    (watched.previous_ != nullptr ? watched.previous_->next_ : first_) = watched.next_;
    (watched.next_ != nullptr ? watched.next_->previous_ : last_) = watched.previous_;
    --size_;
}

inline void WatchList::arm() {
    armed_ = true;
    timer_.expires_after(interval_);
    timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        self->armed_ = false;
        if (!error) self->tick();
    });
}

/// A tick is counted when the loop gets to it: a loop that was held up gives its connections that time back.
inline void WatchList::tick() {
    ++now_;
    for_each([this](Watched& watched) {
        if (watched.deadline_ <= now_) watched.interrupt(true);
    });
    if (first_ != nullptr) arm();
}

} // namespace cohort::http::detail
