// SPDX-License-Identifier: MIT
// EventLog: what has happened to the workers, in order (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/event.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>

namespace cohort::detail {

/// Bounded: beyond its capacity the oldest go, of the slot that has most. A worker can cause as many events as it
/// likes, but those of other slots stay. Reports of crashes are larger, and fewer of them are kept.
class EventLog {
public:
    static constexpr std::size_t most_reports = 16;

    struct Entry {
        std::uint64_t number; // from 1 on
        std::chrono::system_clock::time_point time;
        Event event;
    };

    EventLog(const asio::any_io_executor& executor, std::size_t capacity) : happened_(executor), capacity_(capacity) {}

    void add(Event event);
    /// Takes the oldest out.
    std::optional<Event> next();
    const std::list<Entry>& entries() const noexcept { return entries_; }
    /// The number that the next one to be added will have.
    std::uint64_t next_number() const noexcept { return next_number_; }

    Task<> wait() { return happened_.wait(); }
    /// Of those who take the events.
    TurnBudget& turn() noexcept { return turn_; }
    void notify() { happened_.notify_all(); }
    /// Whoever waits gets Errc::closed.
    void close() { happened_.close(); }

private:
    Event take(std::list<Entry>::iterator entry);
    void drop_oldest_report();

    Notifier happened_;
    TurnBudget turn_;
    std::size_t capacity_;
    std::list<Entry> entries_;
    std::map<unsigned, std::size_t> counts_; // of slots that have some
    std::uint64_t next_number_ = 1;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/event_log.ipp>
#endif
