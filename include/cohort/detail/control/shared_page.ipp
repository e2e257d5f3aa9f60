// SPDX-License-Identifier: MIT
// The bodies of shared_page.hpp (layer 2).
#pragma once

#include <cohort/detail/control/shared_page.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/memfd.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include <fcntl.h>

namespace cohort::detail {

COHORT_DECL SharedPage::SharedPage() : memory_(make_memfd("cohort", bytes)) {
    if (::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) throw_last_error("fcntl");
    map();
    free_ = numbers(cells);
    free_workers_ = numbers(worker_cells);
}

COHORT_DECL std::uint32_t SharedPage::acquire() {
    const std::uint32_t index = pop(free_);
    Cell& cell = (*this)[index];
    cell.taken.store(0, std::memory_order_relaxed);
    cell.accepted.store(0, std::memory_order_relaxed);
    cell.wanted.store(0, std::memory_order_relaxed);
    return index;
}

COHORT_DECL std::uint32_t SharedPage::acquire_worker() {
    const std::uint32_t index = pop(free_workers_);
    worker(index).limit.store(WorkerCell::no_limit, std::memory_order_relaxed);
    head().workers.fetch_add(1, std::memory_order_relaxed);
    if (head().used.load(std::memory_order_relaxed) <= index) head().used.store(index + 1, std::memory_order_release);
    return index;
}

COHORT_DECL std::vector<std::uint32_t> SharedPage::numbers(std::size_t count) {
    std::vector<std::uint32_t> all(count);
    for (std::size_t i = 0; i < count; ++i) all[i] = static_cast<std::uint32_t>(count - 1 - i);
    return all;
}

COHORT_DECL std::uint32_t SharedPage::pop(std::vector<std::uint32_t>& free) {
    if (free.empty()) throw std::system_error(make_error_code(Errc::no_free_slot));
    const std::uint32_t index = free.back();
    free.pop_back();
    return index;
}

COHORT_DECL void SharedPage::release_worker(std::uint32_t index) {
    WorkerCell& cell = worker(index);
    WorkerCell& dead = of_the_dead();
    const auto move = [](std::atomic<std::uint64_t>& from, std::atomic<std::uint64_t>& to) {
        to.fetch_add(from.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
    };
    head().version.fetch_add(1, std::memory_order_acq_rel);
    std::atomic_thread_fence(std::memory_order_release); // whoever sees the stores below sees the odd version
    move(cell.accepted, dead.accepted);
    move(cell.refused, dead.refused);
    cell.ended.store(cell.begun.load(std::memory_order_relaxed), std::memory_order_relaxed);
    move(cell.begun, dead.begun);
    move(cell.ended, dead.ended);
    for (std::size_t i = 0; i != cell.responses.size(); ++i) move(cell.responses[i], dead.responses[i]);
    cell.open.store(0, std::memory_order_relaxed);
    cell.heartbeat.store(0, std::memory_order_relaxed);
    cell.beat_interval.store(0, std::memory_order_relaxed);
    head().workers.fetch_sub(1, std::memory_order_relaxed);
    head().version.fetch_add(1, std::memory_order_acq_rel);
    free_workers_.push_back(index);
}

COHORT_DECL Totals SharedPage::sum() noexcept {
    Totals totals;
    totals.workers = head().workers.load(std::memory_order_relaxed);
    const auto add = [&totals](const WorkerCell& cell) {
        // What has ended is read first, so that it is never more than has begun.
        totals.answered += cell.ended.load(std::memory_order_acquire);
        totals.requests += cell.begun.load(std::memory_order_relaxed);
        totals.accepted += cell.accepted.load(std::memory_order_relaxed);
        totals.refused += cell.refused.load(std::memory_order_relaxed);
        totals.open += cell.open.load(std::memory_order_relaxed);
        for (std::size_t i = 0; i != cell.responses.size(); ++i)
            totals.responses[i] += cell.responses[i].load(std::memory_order_relaxed);
    };
    const std::uint32_t used = head().used.load(std::memory_order_acquire);
    for (std::uint32_t index = 0; index != used; ++index) add(worker(index));
    add(of_the_dead());
    totals.answered = std::min(totals.answered, totals.requests); // if the master was killed while moving them
    return totals;
}

COHORT_DECL Totals SharedPage::totals() {
    Totals totals;
    // The master writes for less than a microsecond, but may be preempted then for as long as the machine is busy. If
    // it is killed, the version stays odd: then an inexact sum is better than none.
    for (int tries = 0; tries != 1000; ++tries) {
        if (tries >= 100) std::this_thread::sleep_for(std::chrono::microseconds(100));
        const std::uint64_t version = head().version.load(std::memory_order_acquire);
        totals = sum();
        std::atomic_thread_fence(std::memory_order_acquire);
        if (version % 2 == 0 && head().version.load(std::memory_order_relaxed) == version) break;
    }
    for (std::size_t i = 0; i != counters; ++i) {
        const NamedCounter& counter = named_counters()[i];
        if (counter.state.load(std::memory_order_acquire) == NamedCounter::free) break;
        if (counter.state.load(std::memory_order_acquire) != NamedCounter::named) continue;
        const std::int64_t value = counter.value.load(std::memory_order_relaxed);
        const auto same = std::ranges::find(totals.counts, counter.name, &Totals::Count::name);
        if (same != totals.counts.end())
            same->value += value;
        else
            totals.counts.push_back({counter.name, value});
    }
    return totals;
}

COHORT_DECL Counter SharedPage::counter(std::string_view name) {
    check_counter_name(name);
    for (std::size_t i = 0; i != counters; ++i) {
        NamedCounter& counter = named_counters()[i];
        if (counter.is(name) || counter.give(name)) return Counter(counter.value);
    }
    throw std::system_error(make_error_code(Errc::no_free_slot), "counter " + std::string(name));
}

} // namespace cohort::detail
