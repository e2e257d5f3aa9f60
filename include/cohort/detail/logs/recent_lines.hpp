// SPDX-License-Identifier: MIT
// RecentLines: the last lines of the log, for whoever follows it (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/logs/line_splitter.hpp>
#include <cohort/detail/logs/log_source.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace cohort::detail {

/// Bounded by bytes: beyond its capacity the oldest go, of the slot that has most. So a worker that writes much takes
/// nothing from one that writes little.
class RecentLines {
public:
    using Time = std::chrono::system_clock::time_point;

    struct Entry {
        std::uint64_t number = 0; // from 1 on
        Time time{};
        LogSource source{};
        std::string text{};
        bool goes_on = false;
    };
    /// Valid until the next one is added.
    using Entries = std::vector<const Entry*>;

    RecentLines(const asio::any_io_executor& executor, std::size_t capacity) : added_(executor), capacity_(capacity) {}

    void add(const LogSource& source, Time time, const Line& line);
    /// From this number on, in order, so many at most.
    Entries since(std::uint64_t number, std::size_t most) const;
    /// The last ones of a worker.
    Entries last(WorkerId worker, std::size_t most) const;
    Entries last(WorkerId worker, LogStream stream, std::size_t most) const;
    /// The number that the next one will have.
    std::uint64_t next_number() const noexcept { return next_number_; }

    Task<> wait() { return added_.wait(); }
    void notify() { added_.notify_all(); }

private:
    struct Lines {
        std::deque<Entry> entries;
        std::size_t bytes = 0;
    };

    static std::size_t size_of(const Entry& entry) noexcept {
        constexpr std::size_t of_allocation = 32; // malloc(3)'s own, and the deque's
        return sizeof entry + entry.text.capacity() + of_allocation;
    }
    void take_oldest();
    template <class Matches>
    Entries last_of(Matches matches, std::size_t most) const;

    Notifier added_;
    std::size_t capacity_;
    std::size_t bytes_ = 0;
    std::map<std::uint64_t, Lines> slots_; // by number; the master's are behind them
    Entry spare_;                          // its memory is used again
    std::uint64_t next_number_ = 1;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/recent_lines.ipp>
#endif
