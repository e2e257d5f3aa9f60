// SPDX-License-Identifier: MIT
// The bodies of run.hpp (layer 5).
#pragma once

#include <cohort/run.hpp>

#include <cohort/detail/access.hpp>
#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/printable.hpp>
#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/detail/system/orphan_reaper.hpp>
#include <cohort/detail/system/process_setup.hpp>
#include <cohort/detail/system/signals.hpp>

#include <asio/cancellation_signal.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <vector>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL Task<> reload_and_tell(Supervisor& supervisor) {
    const ReloadReport report = co_await supervisor.reload();
    if (report.error == Errc::stopping && supervisor.forward_signal(SIGHUP)) co_return;
    if (!report) std::cerr << "cohort: reload: " << report.error.message() << std::endl;
}

COHORT_DECL Task<> upgrade_and_tell(Supervisor& supervisor) {
    const ReloadReport report = co_await supervisor.upgrade();
    if (report.error == Errc::stopping && supervisor.forward_signal(SIGUSR2)) co_return;
    if (!report) std::cerr << "cohort: upgrade: " << report.error.message() << std::endl;
}

COHORT_DECL void scale_and_tell(Supervisor& supervisor, unsigned workers) {
    try {
        supervisor.slot_manager().scale(workers);
    } catch (const std::system_error& error) {
        std::cerr << "cohort: scale: " << printable(error.what()) << std::endl;
    }
}

/// Reaps children that are not watched here; tries again while a worker not reaped yet may hide others.
struct OrphanReaper {
    void reap() {
        if (reap_strangers([&](pid_t pid) { return supervisor.is_watched(pid); })) return;
        again.expire_after(std::chrono::milliseconds(20), action<&OrphanReaper::reap>(this));
    }

    Supervisor& supervisor;
    Timer again;
};

/// How long what a program has left running in the master may go on without any worker.
inline constexpr std::chrono::milliseconds last_moments{1'000};

/// The master's function, which may be waiting for anything when the cluster has ended.
class Watching {
public:
    explicit Watching(const asio::any_io_executor& executor) : over_(executor), deadline_(executor) {}

    asio::cancellation_slot slot() noexcept { return cancel_.slot(); }
    bool is_cancelled() const noexcept { return cancelled_; }
    void end() {
        ended_ = true;
        over_.notify_all();
    }
    /// There is no time for it.
    void hurry() {
        hurried_ = true;
        over_.notify_all();
    }
    /// Waits for its end, and cancels it when that takes too long.
    Task<> until_over() {
        deadline_.expire_after(last_moments, action<&Watching::hurry>(this));
        while (!ended_ && !hurried_) co_await over_.wait();
        deadline_.cancel();
        if (ended_) co_return;
        cancelled_ = true;
        cancel_.emit(asio::cancellation_type::all);
    }

private:
    Notifier over_;
    Timer deadline_;
    asio::cancellation_signal cancel_;
    bool ended_ = false;
    bool hurried_ = false;
    bool cancelled_ = false;
};

COHORT_DECL void end_by_signal(Supervisor& supervisor, Watching& watching) {
    if (supervisor.stopping()) {
        supervisor.kill_all();
        watching.hurry();
    } else {
        spawn(supervisor.context().get_executor(), supervisor.stop());
    }
}

COHORT_DECL Task<> obey_signals(Supervisor& supervisor, AsyncFd& signals, OrphanReaper& orphans, Watching& watching) {
    for (;;) {
        std::error_code error;
        co_await signals.readable(error);
        if (error) co_return;
        unsigned char signal = 0;
        while (::read(signals.get(), &signal, 1) == 1) {
            switch (signal) {
                case SIGCHLD: orphans.reap(); break;
                case SIGHUP: spawn(supervisor.context().get_executor(), reload_and_tell(supervisor)); break;
                case SIGUSR2: spawn(supervisor.context().get_executor(), upgrade_and_tell(supervisor)); break;
                case SIGTTIN: scale_and_tell(supervisor, supervisor.slot_manager().count() + 1); break;
                case SIGTTOU: scale_and_tell(supervisor, std::max(2U, supervisor.slot_manager().count()) - 1); break;
                default: end_by_signal(supervisor, watching);
            }
        }
    }
}

COHORT_DECL Task<> watch_over(Supervisor& supervisor, Task<> watch, Watching& watching, int& code) {
    try {
        co_await std::move(watch);
        co_await supervisor.mail().discard();
    } catch (...) {
        if (!watching.is_cancelled()) {
            std::cerr << "cohort: master: " << exception_text() << std::endl;
            code = 1;
        }
    }
    watching.end();
    if (!watching.is_cancelled()) co_await supervisor.stop();
}

/// Whatever else still runs or waits: this is the end.
COHORT_DECL Task<> close_down(Supervisor& supervisor, AsyncFd& signals, OrphanReaper& orphans, Watching& watching) {
    co_await supervisor.until_finished();
    co_await supervisor.stop();
    co_await watching.until_over();
    signals.close();
    orphans.again.cancel();
    supervisor.context().stop();
}

COHORT_DECL int run_to_the_end(MasterBase& master, const std::function<void()>& spawn_worker, Task<> watch) {
    Supervisor& supervisor = Access::supervisor(master);
    asio::io_context& context = supervisor.context();
    std::vector<int> numbers{SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU};
    const bool reaps_strangers = supervisor.options().reap_strangers.value_or(inherits_orphans());
    if (reaps_strangers) numbers.push_back(SIGCHLD);
    SignalPipe pipe(numbers);
    OrphanReaper orphans{supervisor, Timer(context.get_executor())};
    survive_broken_pipes();
    AsyncFd signals(context.get_executor(), duplicate(pipe.descriptor()));
    for (unsigned i = 0; i < supervisor.options().workers; ++i) spawn_worker();
    if (reaps_strangers) orphans.reap(); // children of the program that was process 1 before execve(2)
    int code = 0;
    Watching watching(context.get_executor());
    spawn(context.get_executor(), obey_signals(supervisor, signals, orphans, watching));
    spawn(context.get_executor(), watch_over(supervisor, std::move(watch), watching, code), watching.slot());
    spawn(context.get_executor(), close_down(supervisor, signals, orphans, watching));
    context.run();
    context.restart();
    context.run_for(last_moments); // what was queued is carried out; what waits for ever is dropped
    return supervisor.has_given_up() ? 1 : code;
}

COHORT_DECL Task<> discard_messages(MasterBase& master) { return Access::supervisor(master).mail().discard(); }

COHORT_DECL unsigned number_of_workers(const Options& options) {
    if (options.workers != 0) return options.workers;
    if (options.autoscale && options.autoscale->least != 0) return options.autoscale->least;
    return std::max(1U, static_cast<unsigned>(usable_cpus().size()));
}

COHORT_DECL void report_failure() noexcept { std::cerr << "cohort: " << exception_text() << std::endl; }

} // namespace cohort::detail
