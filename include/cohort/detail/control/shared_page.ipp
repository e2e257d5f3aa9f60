// SPDX-License-Identifier: MIT
// The bodies of shared_page.hpp (layer 2).
#pragma once

#include <cohort/detail/control/shared_page.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/error.hpp>

#include <algorithm>
#include <chrono>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

namespace cohort::detail {

COHORT_DECL std::vector<std::uint32_t> numbers_down_to_0(std::size_t count) {
    std::vector<std::uint32_t> all(count);
    for (std::size_t i = 0; i < count; ++i) all[i] = static_cast<std::uint32_t>(count - 1 - i);
    return all;
}

COHORT_DECL std::uint32_t pop(std::vector<std::uint32_t>& free) {
    if (free.empty()) throw std::system_error(make_error_code(Errc::no_free_slot));
    const std::uint32_t index = free.back();
    free.pop_back();
    return index;
}

// Giving parts out

COHORT_DECL SharedPage::SharedPage()
    : free_(numbers_down_to_0(cells)), free_workers_(numbers_down_to_0(worker_cells)) {}

COHORT_DECL std::uint32_t SharedPage::acquire() { return pop(free_); }

COHORT_DECL std::uint32_t SharedPage::acquire_worker(WorkerId worker, unsigned slot, bool maps_itself) {
    const std::uint32_t index = pop(free_workers_);
    try {
        map_worker(index, worker, maps_itself);
        slots_[index] = slot;
    } catch (...) {
        free_workers_.push_back(index);
        throw;
    }
    part(index).shown.vitals.limit.store(WorkerCell::no_limit, std::memory_order_relaxed);
    master()->head.workers.fetch_add(1, std::memory_order_relaxed);
    master()->slots[index].store(slot, std::memory_order_relaxed);
    master()->owners[index].store(worker, std::memory_order_release);
    auto& used = master()->head.used;
    if (used.load(std::memory_order_relaxed) <= index) used.store(index + 1, std::memory_order_release);
    return index;
}

COHORT_DECL void SharedPage::release_worker(std::uint32_t index) {
    auto& version = master()->head.version;
    version.fetch_add(1, std::memory_order_acq_rel);
    std::atomic_thread_fence(std::memory_order_release); // whoever sees the stores below sees the odd version
    keep_counts(part(index).shown.vitals);
    keep_counters(index);
    master()->owners[index].store(0, std::memory_order_relaxed);
    master()->head.workers.fetch_sub(1, std::memory_order_relaxed);
    version.fetch_add(1, std::memory_order_acq_rel);
    slots_.erase(index);
    forget_descriptor(index);
    free_workers_.push_back(index);
}

COHORT_DECL void SharedPage::keep_counts(WorkerCell& cell) noexcept {
    WorkerCell& dead = master()->dead;
    const auto keep = [](std::uint64_t count, std::atomic<std::uint64_t>& sum) {
        constexpr std::uint64_t most = WorkerCell::most_counted * 512; // and room for as many living ones
        const std::uint64_t before = sum.load(std::memory_order_relaxed);
        sum.store(before + std::min(count, most - before), std::memory_order_relaxed);
    };
    const std::uint64_t begun = WorkerCell::count_of(cell.begun);
    keep(WorkerCell::count_of(cell.accepted), dead.accepted);
    keep(WorkerCell::count_of(cell.refused), dead.refused);
    keep(begun, dead.begun);
    keep(begun, dead.ended);
    for (std::size_t i = 0; i != cell.responses.size(); ++i)
        keep(WorkerCell::count_of(cell.responses[i]), dead.responses[i]);
    for (std::size_t i = 0; i != cell.latency.size(); ++i) keep(WorkerCell::count_of(cell.latency[i]), dead.latency[i]);
    keep(WorkerCell::count_of(cell.latency_sum), dead.latency_sum);
}

// Counting

COHORT_DECL Totals::Living SharedPage::to_living(std::uint32_t index, const WorkerCell& cell) const noexcept {
    const std::uint64_t ended = WorkerCell::count_of(cell.ended);
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t begun = WorkerCell::count_of(cell.begun);
    return {.worker = master_seen().owners[index].load(std::memory_order_relaxed),
            .slot = master_seen().slots[index].load(std::memory_order_relaxed),
            .open = cell.open_connections(),
            .requests = begun,
            .in_progress = begun - std::min(ended, begun),
            .lag = std::chrono::microseconds(cell.lag.load(std::memory_order_relaxed))};
}

COHORT_DECL Totals SharedPage::sum() const {
    Totals totals;
    const PageHead& head = master_seen().head;
    totals.workers = head.workers.load(std::memory_order_relaxed);
    totals.restarts = head.restarts.load(std::memory_order_relaxed);
    totals.reloads = head.reloads.load(std::memory_order_relaxed);
    totals.failed_reloads = head.failed_reloads.load(std::memory_order_relaxed);
    totals.generation = head.generation.load(std::memory_order_relaxed);
    totals.queued = head.queued.load(std::memory_order_relaxed);
    totals.waiting_calls = head.waiting_calls.load(std::memory_order_relaxed);
    const auto add = [&totals](const WorkerCell& cell, auto count) {
        // What has ended is read first, so that it is not more than has begun; a worker may claim even that.
        const std::uint64_t ended = count(cell.ended);
        std::atomic_thread_fence(std::memory_order_acquire);
        const std::uint64_t begun = count(cell.begun);
        totals.requests += begun;
        totals.answered += std::min(ended, begun);
        totals.accepted += count(cell.accepted);
        totals.refused += count(cell.refused);
        totals.open += cell.open_connections();
        for (std::size_t i = 0; i != cell.responses.size(); ++i) totals.responses[i] += count(cell.responses[i]);
        for (std::size_t i = 0; i != cell.latency.size(); ++i) totals.latency.counts[i] += count(cell.latency[i]);
        totals.latency.sum += std::chrono::nanoseconds(count(cell.latency_sum));
    };
    const std::uint32_t used = master_seen().head.used.load(std::memory_order_acquire);
    for (std::uint32_t index = 0; index != used; ++index) {
        const ShownPart* const part = seen(index);
        if (part == nullptr) continue;
        add(part->vitals, &WorkerCell::count_of);
        totals.living.push_back(to_living(index, part->vitals));
    }
    add(master_seen().dead, [](const auto& counter) { return counter.load(std::memory_order_relaxed); });
    return totals;
}

/// Reads until the master has not written meanwhile. It writes for microseconds, but may be preempted then for as long
/// as the machine is busy. If it is killed, the version stays odd: then an inexact sum is better than none. The master
/// does not wait for itself.
template <class Read>
auto SharedPage::consistently(Read read) const {
    constexpr int at_once = 50;
    const auto& version = master_seen().head.version;
    for (int tries = 0;; ++tries) {
        if (tries >= at_once) std::this_thread::sleep_for(std::chrono::microseconds(100));
        const std::uint64_t before = version.load(std::memory_order_acquire);
        auto result = read();
        std::atomic_thread_fence(std::memory_order_acquire);
        const bool steady = before % 2 == 0 && version.load(std::memory_order_relaxed) == before;
        if (steady || is_master() || tries == 2 * at_once) return result;
    }
}

COHORT_DECL Totals SharedPage::totals() const {
    return consistently([this] {
        Totals totals = sum();
        add_counters(totals);
        return totals;
    });
}

// Counters

/// What the shares of one counter give together. Two's complement: there is no overflow.
struct SharedPage::CounterSum {
    std::uint64_t added = 0;
    std::uint64_t set_to = 0;
    std::uint64_t set_at = 0;

    /// `now`: who claims to have set it later has not.
    void add(const NamedCounter& share, std::uint64_t now) noexcept {
        added += static_cast<std::uint64_t>(share.added.load(std::memory_order_relaxed));
        const std::uint64_t when = share.set_at.load(std::memory_order_acquire);
        constexpr std::uint64_t tolerance = 1'000'000; // two may be set at the same time, one after the other
        if (when <= set_at || when > now + tolerance) return;
        set_at = when;
        set_to = static_cast<std::uint64_t>(share.set_to.load(std::memory_order_relaxed));
    }
    std::int64_t value() const noexcept { return static_cast<std::int64_t>(added + set_to); }
};

template <class Visit>
void SharedPage::for_each_table(Visit visit) const {
    visit(std::span(master_seen().shown.counters));
    visit(std::span(master_seen().dead_counters));
    const std::uint32_t used = master_seen().head.used.load(std::memory_order_acquire);
    for (std::uint32_t index = 0; index != used; ++index)
        if (const ShownPart* const part = seen(index)) visit(std::span(part->counters));
}

COHORT_DECL void SharedPage::add_counters(Totals& totals) const {
    std::map<CounterName, std::size_t> places;
    std::vector<CounterSum> sums;
    const std::uint64_t now = nanoseconds_now();
    for_each_table([&](auto table) {
        for (const NamedCounter& share : table) {
            if (share.state.load(std::memory_order_acquire) == NamedCounter::free) break;
            const CounterName name = share.read_name();
            if (name[0] == '\0') continue;
            const auto [place, is_new] = places.try_emplace(name, sums.size());
            if (is_new) {
                sums.emplace_back();
                totals.counts.push_back({name.data(), 0});
            }
            sums[place->second].add(share, now);
        }
    });
    for (std::size_t i = 0; i != sums.size(); ++i) totals.counts[i].value = sums[i].value();
}

COHORT_DECL SharedPage::CounterSum SharedPage::sum_of(const NamedCounter& counter) const noexcept {
    return consistently([&] {
        CounterSum sum;
        const std::uint64_t now = nanoseconds_now();
        for_each_table([&](auto table) {
            for (const NamedCounter& share : table) {
                if (share.state.load(std::memory_order_acquire) == NamedCounter::free) break;
                if (share.is(counter.name)) sum.add(share, now);
            }
        });
        return sum;
    });
}

COHORT_DECL std::int64_t SharedPage::value_of(const NamedCounter& counter) const noexcept {
    return sum_of(counter).value();
}

COHORT_DECL void SharedPage::set(NamedCounter& counter, std::int64_t to) noexcept {
    const CounterSum before = sum_of(counter);
    counter.set_to.store(static_cast<std::int64_t>(static_cast<std::uint64_t>(to) - before.added),
                         std::memory_order_relaxed);
    counter.set_at.store(std::max(nanoseconds_now(), before.set_at + 1), std::memory_order_release);
}

/// OpenMetrics, and what reads Prometheus' format in its way, takes both for one metric of two types. Names that other
/// workers have given are not asked: one of them could keep all others from theirs.
COHORT_DECL void SharedPage::refuse_if_nearly_known(const CounterName& wanted) const {
    for (const auto* const table : {&own().counters, &master_seen().shown.counters})
        for (const NamedCounter& counter : *table)
            if (counter.is_nearly(wanted))
                throw std::invalid_argument("a counter cannot be called '" + std::string(wanted.data()) + "' beside '" +
                                            counter.read_name().data() + "'");
}

COHORT_DECL Counter SharedPage::counter(std::string_view name) {
    const CounterName wanted = to_counter_name(name);
    for (NamedCounter& counter : own().counters) {
        if (counter.is(wanted)) return Counter(counter, counter.added, *this);
        if (counter.state.load(std::memory_order_relaxed) == NamedCounter::free) break;
    }
    refuse_if_nearly_known(wanted);
    for (NamedCounter& counter : own().counters)
        if (counter.is(wanted) || counter.give(wanted)) return Counter(counter, counter.added, *this);
    throw std::system_error(make_error_code(Errc::no_free_slot), "counter " + std::string(name));
}

/// Workers of one slot leave no more names than one of them can give, so none leaves the others without.
COHORT_DECL NamedCounter* SharedPage::kept_counter(const CounterName& name, unsigned slot) noexcept {
    for (NamedCounter& kept : master()->dead_counters) {
        if (kept.is(name)) return &kept;
        if (kept.state.load(std::memory_order_relaxed) != NamedCounter::free) continue;
        unsigned& count = names_of_[slot];
        if (count == counters) return nullptr;
        ++count;
        kept.give(name);
        return &kept;
    }
    return nullptr;
}

COHORT_DECL void SharedPage::keep_counters(std::uint32_t index) {
    const unsigned slot = slots_.at(index);
    const std::uint64_t now = nanoseconds_now();
    for (const NamedCounter& share : part(index).shown.counters) {
        if (share.state.load(std::memory_order_acquire) == NamedCounter::free) break;
        const CounterName name = share.read_name();
        NamedCounter* const kept = name[0] == '\0' ? nullptr : kept_counter(name, slot);
        if (kept == nullptr) continue;
        CounterSum sum;
        sum.add(*kept, now);
        sum.add(share, now);
        kept->added.store(static_cast<std::int64_t>(sum.added), std::memory_order_relaxed);
        kept->set_to.store(static_cast<std::int64_t>(sum.set_to), std::memory_order_relaxed);
        kept->set_at.store(sum.set_at, std::memory_order_release);
    }
}

} // namespace cohort::detail
