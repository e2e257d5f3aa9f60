// SPDX-License-Identifier: MIT
// The bodies of event_log.hpp (layer 4).
#pragma once

#include <cohort/detail/process/event_log.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <utility>

namespace cohort::detail {

COHORT_DECL void EventLog::add(Event event) {
    if (entries_.size() == capacity_) {
        const unsigned most = std::ranges::max_element(counts_, {}, &decltype(counts_)::value_type::second)->first;
        take(std::ranges::find(entries_, most, [](const Entry& entry) { return entry.event.slot; }));
    }
    ++counts_[event.slot];
    if (event.crash) drop_oldest_report();
    entries_.push_back({next_number_++, std::chrono::system_clock::now(), std::move(event)});
    happened_.notify_all(); // all, since a single waiter may just have been cancelled
}

/// If there are as many as there may be: of the slot that has most.
COHORT_DECL void EventLog::drop_oldest_report() {
    std::map<unsigned, std::size_t> counts;
    std::size_t all = 0;
    for (const Entry& entry : entries_) {
        if (!entry.event.crash) continue;
        ++counts[entry.event.slot];
        ++all;
    }
    if (all < most_reports) return;
    const unsigned most = std::ranges::max_element(counts, {}, &decltype(counts)::value_type::second)->first;
    const auto is_its = [most](const Entry& entry) { return entry.event.crash && entry.event.slot == most; };
    std::ranges::find_if(entries_, is_its)->event.crash.reset();
}

COHORT_DECL std::optional<Event> EventLog::next() {
    if (entries_.empty()) return std::nullopt;
    return take(entries_.begin());
}

COHORT_DECL Event EventLog::take(std::list<Entry>::iterator entry) {
    Event taken = std::move(entry->event);
    entries_.erase(entry);
    const auto count = counts_.find(taken.slot);
    if (--count->second == 0) counts_.erase(count);
    return taken;
}

} // namespace cohort::detail
