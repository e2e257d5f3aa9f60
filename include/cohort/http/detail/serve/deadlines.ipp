// SPDX-License-Identifier: MIT
// The bodies of deadlines.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/deadlines.hpp>

#include <cohort/detail/config.hpp>

#include <new>
#include <system_error>

namespace cohort::http::detail {

COHORT_DECL void DeadlineList::begin_waiting(TimedConnection& connection, Waiting what, std::uint64_t tick) noexcept {
    connection.waiting_ = what;
    connection.expired_ = connection.interrupted_ = false;
    wait_until(connection, tick);
}

COHORT_DECL void DeadlineList::interrupt(TimedConnection& connection) {
    if (connection.waiting_ == Waiting::nothing) return;
    connection.interrupted_ = true;
    end_wait(connection);
}

COHORT_DECL void DeadlineList::end_wait(TimedConnection& connection) {
    connection.expired_ = !connection.interrupted_;
    wait_until(connection, after(1));
    connection.cancel_waiting();
}

COHORT_DECL void DeadlineList::arm() {
    timer_.expire_after(interval_, cohort::detail::action<&DeadlineList::tick>(this, shared_from_this()));
}

COHORT_DECL void DeadlineList::expire(TimedConnection& connection) {
    const bool is_overdue = connection.work_deadline_ <= wheel_.now();
    if (is_overdue) connection.work_deadline_ = TimerWheel::never;
    if (connection.wait_deadline_ <= wheel_.now() && connection.waiting_ != Waiting::nothing)
        end_wait(connection);
    else if (connection.wait_deadline_ <= wheel_.now())
        wait_until(connection, TimerWheel::never);
    else
        set_deadline(connection);
    if (!is_overdue) return;
    connection.overdue_ = true;
    connection.cancel_all();
}

/// A tick is counted when the loop gets to it: a loop that was held up gives its connections that time back.
COHORT_DECL void DeadlineList::tick() {
    try {
        if (size() != 0) arm();       // first: the memory of the wait that has just ended can be reused
    } catch (const std::bad_alloc&) { // The next connection tries again.
    }
    wheel_.advance([this](TimerWheel::Entry& entry) { expire(static_cast<TimedConnection&>(entry)); });
}

} // namespace cohort::http::detail
