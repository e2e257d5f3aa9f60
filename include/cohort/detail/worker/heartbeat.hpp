// SPDX-License-Identifier: MIT
// Heartbeat: a worker's event loop shows its master that it turns (layer 3).
#pragma once

#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/control/shared_page.hpp>

#include <asio/io_context.hpp>

#include <atomic>
#include <chrono>

namespace cohort::detail {

/// Beats until it is destroyed, or the loop ends. Only the number counts: the clocks of two processes are not compared.
/// How late each beat comes, by this process's clock, shows how long others of its loop wait.
class Heartbeat {
public:
    /// The interval is the master's to choose: this may be another program, with other options.
    Heartbeat(asio::io_context& context, WorkerCell& cell)
        : timer_(context.get_executor()), cell_(cell), interval_(cell.beat_interval.load(std::memory_order_relaxed)) {
        if (interval_.count() > 0) beat();
    }
    Heartbeat(const Heartbeat&) = delete;
    Heartbeat& operator=(const Heartbeat&) = delete;

    /// The loop is about to stop for good: the master does not wait for more.
    void end() noexcept { cell_.heartbeat.store(WorkerCell::last_beat, std::memory_order_relaxed); }

private:
    void beat();

    Timer timer_;
    WorkerCell& cell_;
    std::chrono::milliseconds interval_;
    Timer::Clock::time_point due_{}; // of the next beat
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/heartbeat.ipp>
#endif
