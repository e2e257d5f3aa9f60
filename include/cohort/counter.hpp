// SPDX-License-Identifier: MIT
// Counter: a number of the program's own that all processes of the cluster share (layer 2).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace cohort {

/// Counting is one atomic addition in any process, and a worker's counts outlive it. Cheap to copy; valid as long as
/// the process. Made by Worker::counter and Master::counter.
class Counter {
public:
    explicit Counter(std::atomic<std::int64_t>& value) noexcept : value_(&value) {}

    void add(std::int64_t by = 1) noexcept { value_->fetch_add(by, std::memory_order_relaxed); }
    /// For a value that only one process sets; with two, the last one wins.
    void set(std::int64_t to) noexcept { value_->store(to, std::memory_order_relaxed); }
    std::int64_t value() const noexcept { return value_->load(std::memory_order_relaxed); }

private:
    std::atomic<std::int64_t>* value_;
};

namespace detail {

/// A counter with its name, in memory that all processes map. Names are registered without a lock, which a killed
/// process would hold forever; a name that two processes register at once exists twice, and totals() adds them up.
struct alignas(64) NamedCounter {
    enum State : std::uint32_t { free, being_named, named };

    std::atomic<std::int64_t> value;
    std::atomic<std::uint32_t> state;
    char name[52];

    static constexpr std::size_t longest_name = sizeof name - 1;

    bool is(std::string_view wanted) const noexcept {
        return state.load(std::memory_order_acquire) == named && wanted == name;
    }
    /// False: it has a name already, or is getting one.
    bool give(std::string_view wanted) noexcept;
};
static_assert(sizeof(NamedCounter) == 64);

/// Prometheus' rule for names, so that every counter can be exported as it is.
void check_counter_name(std::string_view name);

} // namespace detail
} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/counter.ipp>
#endif
