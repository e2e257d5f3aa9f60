// SPDX-License-Identifier: MIT
// EventLog: what happened to the workers and has not been asked for yet (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/event.hpp>

#include <deque>
#include <optional>

namespace cohort::detail {

/// Bounded, for programs that never ask: then the oldest go.
class EventLog {
public:
    static constexpr std::size_t capacity = 4096;

    explicit EventLog(const asio::any_io_executor& executor) : happened_(executor) {}

    void add(Event event) {
        if (events_.size() == capacity) events_.pop_front();
        events_.push_back(std::move(event));
        happened_.notify_all(); // one of them may just have been cancelled
    }
    std::optional<Event> next() {
        if (events_.empty()) return std::nullopt;
        std::optional<Event> event(std::move(events_.front()));
        events_.pop_front();
        return event;
    }

    Task<> wait() { return happened_.wait(); }
    void notify() { happened_.notify_all(); }

private:
    Notifier happened_;
    std::deque<Event> events_;
};

} // namespace cohort::detail
