// SPDX-License-Identifier: MIT
// The bodies of run.hpp (layer 5).
#pragma once

#include <cohort/run.hpp>

#include <cohort/detail/access.hpp>
#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/detail/system/orphan_reaper.hpp>
#include <cohort/detail/system/process_setup.hpp>
#include <cohort/detail/system/signals.hpp>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <vector>

#include <unistd.h>

namespace cohort::detail {

COHORT_DECL Task<> reload_and_tell(Supervisor& supervisor) {
    const ReloadReport report = co_await supervisor.reload();
    if (!report) std::cerr << "cohort: reload: " << report.error.message() << std::endl;
}

COHORT_DECL Task<> upgrade_and_tell(Supervisor& supervisor) {
    const ReloadReport report = co_await supervisor.upgrade();
    if (!report) std::cerr << "cohort: upgrade: " << report.error.message() << std::endl;
}

COHORT_DECL void scale_and_tell(Supervisor& supervisor, unsigned workers) {
    try {
        supervisor.slot_manager().scale(workers);
    } catch (const std::system_error& error) {
        std::cerr << "cohort: scale: " << error.what() << std::endl;
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

COHORT_DECL void end_by_signal(Supervisor& supervisor) {
    if (supervisor.stopping())
        supervisor.kill_all();
    else
        spawn(supervisor.context().get_executor(), supervisor.stop());
}

COHORT_DECL Task<> obey_signals(Supervisor& supervisor, AsyncFd& signals, OrphanReaper& orphans) {
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
                default: end_by_signal(supervisor);
            }
        }
    }
}

COHORT_DECL Task<> watch_over(Supervisor& supervisor, Task<> watch, int& code) {
    try {
        co_await std::move(watch);
        co_await supervisor.mail().discard();
    } catch (const std::exception& error) {
        std::cerr << "cohort: master: " << error.what() << std::endl;
        code = 1;
    }
    co_await supervisor.stop();
}

COHORT_DECL Task<> close_down(Supervisor& supervisor, AsyncFd& signals, OrphanReaper& orphans) {
    co_await supervisor.until_finished();
    co_await supervisor.stop();
    signals.close();
    orphans.again.cancel();
}

COHORT_DECL int run_to_the_end(MasterBase& master, const std::function<void()>& spawn_worker, Task<> watch) {
    Supervisor& supervisor = Access::supervisor(master);
    asio::io_context& context = supervisor.context();
    std::vector<int> numbers{SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU};
    const bool reaps_strangers = supervisor.options().reap_strangers.value_or(inherits_orphans());
    if (reaps_strangers) numbers.push_back(SIGCHLD);
    SignalPipe pipe(numbers);
    OrphanReaper orphans{supervisor, Timer(context.get_executor())};
    ::signal(SIGPIPE, SIG_IGN);
    AsyncFd signals(context.get_executor(), duplicate(pipe.descriptor()));
    for (unsigned i = 0; i < supervisor.options().workers; ++i) spawn_worker();
    if (reaps_strangers) orphans.reap(); // children of the program that was process 1 before execve(2)
    int code = 0;
    spawn(context.get_executor(), obey_signals(supervisor, signals, orphans));
    spawn(context.get_executor(), watch_over(supervisor, std::move(watch), code));
    spawn(context.get_executor(), close_down(supervisor, signals, orphans));
    context.run();
    return supervisor.has_given_up() ? 1 : code;
}

COHORT_DECL Task<> discard_messages(MasterBase& master) { return Access::supervisor(master).mail().discard(); }

COHORT_DECL unsigned number_of_workers(const Options& options) {
    if (options.workers != 0) return options.workers;
    if (options.autoscale && options.autoscale->least != 0) return options.autoscale->least;
    return std::max(1U, static_cast<unsigned>(usable_cpus().size()));
}

COHORT_DECL void report_failure(const std::exception& error) noexcept {
    std::cerr << "cohort: " << error.what() << std::endl;
}

} // namespace cohort::detail
