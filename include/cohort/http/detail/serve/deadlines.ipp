// SPDX-License-Identifier: MIT
// The bodies of deadlines.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/deadlines.hpp>

#include <cohort/detail/config.hpp>

#include <new>
#include <system_error>

namespace cohort::http::detail {

COHORT_DECL void DeadlineList::begin_waiting(TimedConnection& watched, Waiting what, std::uint64_t tick) noexcept {
    watched.waiting_ = what;
    watched.expired_ = watched.interrupted_ = false;
    wait_until(watched, tick);
}

COHORT_DECL void DeadlineList::interrupt(TimedConnection& watched) {
    if (watched.waiting_ == Waiting::nothing) return;
    watched.interrupted_ = true;
    end_wait(watched);
}

COHORT_DECL void DeadlineList::end_wait(TimedConnection& watched) {
    watched.expired_ = !watched.interrupted_;
    wait_until(watched, after(1));
    watched.cancel_waiting();
}

COHORT_DECL void DeadlineList::arm() {
    timer_.expires_after(interval_);
    timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        self->armed_ = false;
        if (!error) self->tick();
    });
    armed_ = true;
}

COHORT_DECL void DeadlineList::expire(TimedConnection& watched) {
    const bool is_overdue = watched.work_deadline_ <= wheel_.now();
    if (is_overdue) watched.work_deadline_ = TimerWheel::never;
    if (watched.wait_deadline_ <= wheel_.now() && watched.waiting_ != Waiting::nothing)
        end_wait(watched);
    else if (watched.wait_deadline_ <= wheel_.now())
        wait_until(watched, TimerWheel::never);
    else
        set_deadline(watched);
    if (!is_overdue) return;
    watched.overdue_ = true;
    watched.cancel_all();
}

/// A tick is counted when the loop gets to it: a loop that was held up gives its connections that time back.
COHORT_DECL void DeadlineList::tick() {
    try {
        if (size() != 0) arm();       // at once: the memory of the wait that has ended is at hand
    } catch (const std::bad_alloc&) { // The next connection tries again.
    }
    wheel_.advance([this](TimerWheel::Entry& entry) { expire(static_cast<TimedConnection&>(entry)); });
}

} // namespace cohort::http::detail
