// SPDX-License-Identifier: MIT
// Counter: a number of the program's own that all processes of the cluster share (layer 2).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cohort {

namespace detail {

struct NamedCounter;

/// The shares of all processes.
class SharedCounters {
public:
    virtual std::int64_t value_of(const NamedCounter& counter) const noexcept = 0;
    virtual void set(NamedCounter& counter, std::int64_t to) noexcept = 0;

protected:
    ~SharedCounters() = default;
};

} // namespace detail

/// Counting is one atomic addition in any process, and a worker's counts outlive it. Each process has its own share, so
/// none can undo what another has counted; reading adds the shares up. Cheap to copy. Made
/// by Worker::counter, and valid as long as the process, or by Master::counter, and valid as long as the master.
class Counter {
public:
    /// One of this process alone.
    explicit Counter(std::atomic<std::int64_t>& value) noexcept : share_(&value) {}
    Counter(detail::NamedCounter& counter, std::atomic<std::int64_t>& share, detail::SharedCounters& all) noexcept
        : share_(&share), counter_(&counter), all_(&all) {}

    void add(std::int64_t by = 1) noexcept { share_->fetch_add(by, std::memory_order_relaxed); }
    /// For a value that only one process sets; with two, the last one wins. It reads the shares of all.
    void set(std::int64_t to) noexcept {
        if (all_ != nullptr) return all_->set(*counter_, to);
        share_->store(to, std::memory_order_relaxed);
    }
    std::int64_t value() const noexcept {
        return all_ != nullptr ? all_->value_of(*counter_) : share_->load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::int64_t>* share_;
    detail::NamedCounter* counter_ = nullptr;
    detail::SharedCounters* all_ = nullptr;
};

namespace detail {

/// The name of a counter, with zeros behind it.
using CounterName = std::array<char, 52>;

/// One process's share of a counter, in memory that all processes of the cluster read. Its value is what was set last,
/// by whichever process, and what all have added.
struct alignas(64) NamedCounter {
    enum State : std::uint32_t { free, being_named, named };

    std::atomic<std::int64_t> added;
    std::atomic<std::int64_t> set_to;  ///< less what all had added by then
    std::atomic<std::uint64_t> set_at; ///< nanoseconds of CLOCK_MONOTONIC; 0: never
    std::atomic<std::uint32_t> state;
    CounterName name;

    static constexpr std::size_t longest_name = std::tuple_size_v<CounterName> - 1;

    bool is(const CounterName& wanted) const noexcept {
        return state.load(std::memory_order_acquire) == named && name == wanted;
    }
    /// Whether this is a name that differs only by "_total".
    bool is_nearly(const CounterName& wanted) const noexcept;
    /// False: it has a name already, or is getting one.
    bool give(const CounterName& wanted) noexcept;
    /// The name that it has now, empty when that is none: whoever else writes here may write anything.
    CounterName read_name() const noexcept;
};
static_assert(sizeof(NamedCounter) == 128);

/// Prometheus' rule for names, so that every counter can be exported as it is; but not those of the library's own.
bool is_counter_name(std::string_view name) noexcept;
CounterName to_counter_name(std::string_view name);

} // namespace detail
} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/counter.ipp>
#endif
