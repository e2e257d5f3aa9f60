// SPDX-License-Identifier: MIT
// The bodies of event_log.hpp (layer 4).
#pragma once

#include <cohort/detail/process/event_log.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <utility>

namespace cohort::detail {

COHORT_DECL void EventLog::add(Event event) {
    const auto is_its = [&event](const Event& other) { return other.worker == event.worker; };
    if (counts_[event.worker] == of_one_worker)
        take(std::ranges::find_if(events_, is_its));
    else if (events_.size() == capacity)
        take(events_.begin());
    ++counts_[event.worker];
    events_.push_back(std::move(event));
    happened_.notify_all(); // all, since a single waiter may just have been cancelled
}

COHORT_DECL std::optional<Event> EventLog::next() {
    if (events_.empty()) return std::nullopt;
    return take(events_.begin());
}

COHORT_DECL Event EventLog::take(std::list<Event>::iterator event) {
    Event taken = std::move(*event);
    events_.erase(event);
    const auto count = counts_.find(taken.worker);
    if (--count->second == 0) counts_.erase(count);
    return taken;
}

} // namespace cohort::detail
