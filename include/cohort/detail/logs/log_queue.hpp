// SPDX-License-Identifier: MIT
// LogQueue: lines on their way to whoever writes them, and how many there was no room for (layer 1).
#pragma once

#include <cohort/detail/logs/log_formatter.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cohort::detail {

/// Bounded: once it is full, lines are lost, whole ones, until there is room again; then lines say how many there were
/// of each worker.
class LogQueue {
public:
    using Time = LogFormatter::Time;

    LogQueue(LogFormat format, std::size_t capacity) : formatter_(format), capacity_(capacity) {}

    /// False: it was lost. `fits`: it was read when there was room, together with others, which may leave it more than
    /// full.
    bool add(const LogSource& source, Time time, const Line& line, bool fits = false);
    bool is_full() const noexcept { return size() >= capacity_; }
    /// For lines that cannot wait there is as much room again.
    bool is_full_twice() const noexcept { return size() >= 2 * capacity_; }
    bool is_empty() const noexcept { return size() == 0; }
    /// Whole lines from the front: about as many bytes as asked for, at least one line.
    std::string_view front(std::size_t bytes) const noexcept;
    void pop(std::size_t bytes) noexcept;
    /// Says how many lines were lost since it was last said, unless it is full or none were.
    void tell_lost(Time time);
    /// How many are lost if nothing more is taken from here: those that are here, and those of which it was not said,
    /// or is only said here.
    std::uint64_t count_lost() const noexcept;
    /// The line about it.
    void tell_lost_at_end(Time time, std::uint64_t count);

private:
    std::size_t size() const noexcept { return bytes_.size() - begin_; }
    void lose(const LogSource& source);
    void say_lost(Time time, std::uint64_t count, const std::string& whose);

    LogFormatter formatter_;
    std::size_t capacity_;
    std::string bytes_;
    std::size_t begin_ = 0; // what stands before it was popped

    struct Told {
        std::uint64_t end; // of the line, in all that was ever added
        std::uint64_t lines;
    };
    std::vector<Told> told_; // that are here
    std::uint64_t popped_ = 0;
    std::vector<std::pair<WorkerId, std::uint64_t>> lost_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/logs/log_queue.ipp>
#endif
