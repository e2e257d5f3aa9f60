// SPDX-License-Identifier: MIT
// EventLog: what happened to the workers and has not been asked for yet (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/event.hpp>

#include <cstddef>
#include <list>
#include <map>
#include <optional>

namespace cohort::detail {

/// Bounded, for programs that never ask: then the oldest go, of the slot that has most. A worker can cause as many
/// events as it likes, but those of other slots stay.
class EventLog {
public:
    static constexpr std::size_t capacity = 4096;

    explicit EventLog(const asio::any_io_executor& executor) : happened_(executor) {}

    void add(Event event);
    std::optional<Event> next();

    Task<> wait() { return happened_.wait(); }
    /// Of those who take the events.
    TurnBudget& turn() noexcept { return turn_; }
    void notify() { happened_.notify_all(); }

private:
    Event take(std::list<Event>::iterator event);

    Notifier happened_;
    TurnBudget turn_;
    std::list<Event> events_;
    std::map<unsigned, std::size_t> counts_; // of slots that have some
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/event_log.ipp>
#endif
