// SPDX-License-Identifier: MIT
// The bodies of recent_lines.hpp (layer 3).
#pragma once

#include <cohort/detail/logs/recent_lines.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace cohort::detail {

COHORT_DECL void RecentLines::add(const LogSource& source, Time time, const Line& line) {
    while (bytes_ + sizeof(Entry) + line.text.size() > capacity_ && bytes_ != 0) take_oldest();
    if (spare_.text.capacity() > 2 * line.text.size() + 64) std::string().swap(spare_.text); // not for such a short one
    Entry entry = std::exchange(spare_, {});
    entry.number = next_number_++;
    entry.time = time;
    entry.source = source;
    entry.text.assign(line.text);
    entry.goes_on = line.goes_on;
    const bool is_master = source.stream == LogStream::master;
    Lines& lines = slots_[is_master ? std::numeric_limits<std::uint64_t>::max() : source.slot];
    lines.bytes += size_of(entry);
    bytes_ += size_of(entry);
    lines.entries.push_back(std::move(entry));
    if (added_.has_waiters()) added_.notify_all();
}

COHORT_DECL void RecentLines::take_oldest() {
    const auto most = std::ranges::max_element(slots_, {}, [](const auto& slot) { return slot.second.bytes; });
    Lines& lines = most->second;
    spare_ = std::move(lines.entries.front());
    lines.entries.pop_front();
    lines.bytes -= size_of(spare_);
    bytes_ -= size_of(spare_);
    if (lines.entries.empty()) slots_.erase(most);
}

COHORT_DECL RecentLines::Entries RecentLines::since(std::uint64_t number, std::size_t most) const {
    Entries found;
    for (const auto& [slot, lines] : slots_) {
        auto entry = std::ranges::lower_bound(lines.entries, number, {}, &Entry::number);
        for (std::size_t left = most; left > 0 && entry != lines.entries.end(); --left) found.push_back(&*entry++);
    }
    std::ranges::sort(found, {}, [](const Entry* entry) { return entry->number; });
    if (found.size() > most) found.resize(most);
    return found;
}

template <class Matches>
RecentLines::Entries RecentLines::last_of(Matches matches, std::size_t most) const {
    Entries found;
    for (const auto& [slot, lines] : slots_)
        for (const Entry& entry : lines.entries)
            if (matches(entry.source)) found.push_back(&entry);
    if (found.size() > most) found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(most));
    return found;
}

COHORT_DECL RecentLines::Entries RecentLines::last(WorkerId worker, std::size_t most) const {
    return last_of([worker](const LogSource& source) { return source.worker == worker; }, most);
}

COHORT_DECL RecentLines::Entries RecentLines::last(WorkerId worker, LogStream stream, std::size_t most) const {
    const auto matches = [=](const LogSource& source) { return source.worker == worker && source.stream == stream; };
    return last_of(matches, most);
}

} // namespace cohort::detail
