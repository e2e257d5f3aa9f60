// SPDX-License-Identifier: MIT
// The bodies of event_log.hpp (layer 4).
#pragma once

#include <cohort/detail/process/event_log.hpp>

#include <cohort/detail/config.hpp>

namespace cohort::detail {

COHORT_DECL void EventLog::add(Event event) {
    if (events_.size() == capacity) events_.pop_front();
    events_.push_back(std::move(event));
    happened_.notify_all(); // all, since a single waiter may just have been cancelled
}

COHORT_DECL std::optional<Event> EventLog::next() {
    if (events_.empty()) return std::nullopt;
    std::optional<Event> event(std::move(events_.front()));
    events_.pop_front();
    return event;
}

} // namespace cohort::detail
