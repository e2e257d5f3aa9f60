// SPDX-License-Identifier: MIT
// The bodies of log_queue.hpp (layer 1).
#pragma once

#include <cohort/detail/logs/log_queue.hpp>

#include <cohort/detail/config.hpp>

#include <algorithm>

namespace cohort::detail {

COHORT_DECL bool LogQueue::add(const LogSource& source, Time time, const Line& line, bool fits) {
    if (!lost_.empty()) tell_lost(time);
    if (!fits && is_full()) {
        lose(source);
        return false;
    }
    formatter_.append(bytes_, source, time, line);
    return true;
}

COHORT_DECL std::string_view LogQueue::front(std::size_t bytes) const noexcept {
    const std::string_view all = std::string_view(bytes_).substr(begin_);
    if (all.size() <= bytes) return all;
    const std::size_t last = all.rfind('\n', bytes - 1);
    return all.substr(0, (last == std::string_view::npos ? all.find('\n') : last) + 1);
}

COHORT_DECL void LogQueue::pop(std::size_t bytes) noexcept {
    begin_ += bytes;
    popped_ += bytes;
    std::erase_if(told_, [this](const Told& line) { return line.end <= popped_; });
    constexpr std::size_t most_popped = std::size_t{64} << 10;
    if (begin_ < std::min(most_popped, bytes_.size() / 2)) return;
    bytes_.erase(0, begin_);
    begin_ = 0;
}

/// Of so many workers each is named; beyond that they are counted together, with the lines of the master.
COHORT_DECL void LogQueue::lose(const LogSource& source) {
    constexpr std::size_t most = 64;
    const auto is_its = [&source](const auto& each) { return each.first == source.worker; };
    auto place = std::ranges::find_if(lost_, is_its);
    if (place == lost_.end()) {
        const bool is_named = lost_.size() < most;
        place = is_named ? lost_.insert(lost_.end(), {source.worker, 0}) : lost_.begin();
        if (!is_named) place->first = 0;
    }
    ++place->second;
}

COHORT_DECL void LogQueue::say_lost(Time time, std::uint64_t count, const std::string& whose) {
    const std::string text = std::to_string(count) + " lines" + whose + " were lost: the log was written too slowly";
    formatter_.append(bytes_, {}, time, {text});
    told_.push_back({popped_ + size(), count});
}

COHORT_DECL void LogQueue::tell_lost(Time time) {
    while (!lost_.empty() && !is_full()) {
        const auto [worker, count] = lost_.back();
        say_lost(time, count, worker == 0 ? "" : " of worker " + std::to_string(worker));
        lost_.pop_back();
    }
}

COHORT_DECL void LogQueue::tell_lost_at_end(Time time, std::uint64_t count) {
    if (count != 0) say_lost(time, count, "");
}

COHORT_DECL std::uint64_t LogQueue::count_lost() const noexcept {
    auto count = static_cast<std::uint64_t>(std::ranges::count(std::string_view(bytes_).substr(begin_), '\n'));
    count -= told_.size();
    for (const Told& line : told_) count += line.lines;
    for (const auto& [worker, lines] : lost_) count += lines;
    return count;
}

} // namespace cohort::detail
