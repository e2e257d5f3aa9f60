// SPDX-License-Identifier: MIT
// The bodies of event_log.hpp (layer 4).
#pragma once

#include <cohort/detail/process/event_log.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <utility>

namespace cohort::detail {

COHORT_DECL void EventLog::add(Event event) {
    if (events_.size() == capacity) {
        const unsigned most = std::ranges::max_element(counts_, {}, &decltype(counts_)::value_type::second)->first;
        take(std::ranges::find(events_, most, &Event::slot));
    }
    ++counts_[event.slot];
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
    const auto count = counts_.find(taken.slot);
    if (--count->second == 0) counts_.erase(count);
    return taken;
}

} // namespace cohort::detail
