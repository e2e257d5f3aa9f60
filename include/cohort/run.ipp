// SPDX-License-Identifier: MIT
// The bodies of run.hpp (layer 5).
#pragma once

#include <cohort/run.hpp>

#include <cohort/detail/access.hpp>
#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/copy_guard.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/async/timer.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/detail/supervise/told_changes.hpp>
#include <cohort/detail/system/cpu_quota.hpp>
#include <cohort/detail/system/forked_copy.hpp>
#include <cohort/detail/system/orphan_reaper.hpp>
#include <cohort/detail/system/process_start.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/terminal.hpp>
#include <cohort/detail/worker/identity.hpp>

#include <asio/cancellation_signal.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace cohort::detail {

/// Reaps children that are not watched here; tries again while a worker not reaped yet may hide others, or many were
/// left.
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

/// What signals mean to the master.
class Commands {
public:
    Commands(Supervisor& supervisor, OrphanReaper& orphans, Watching& watching)
        : supervisor_(supervisor), orphans_(orphans), watching_(watching) {}

    void obey(const Signal& signal);

private:
    void hang_up(const Signal& signal);
    void scale(const Signal& signal);
    void reopen_logs();
    void end();
    void begin(Task<> task) { spawn(supervisor_.context().get_executor(), std::move(task)); }

    Supervisor& supervisor_;
    OrphanReaper& orphans_;
    Watching& watching_;
    Terminal terminal_;
    bool told_to_end_ = false;
};

COHORT_DECL void Commands::obey(const Signal& signal) {
    switch (signal.number) {
        case SIGCHLD: return orphans_.reap();
        case SIGHUP: return hang_up(signal);
        case SIGUSR2: return begin(upgrade_and_tell(supervisor_));
        case SIGTTIN:
        case SIGTTOU: return scale(signal);
        case SIGUSR1: return reopen_logs();
        default: end();
    }
}

COHORT_DECL void Commands::hang_up(const Signal& signal) {
    if (!terminal_.is_gone(signal)) return begin(reload_and_tell(supervisor_));
    const bool stays = ignored_hangup_at_start();
    log_line(LogLevel::info,
             stays ? "the terminal is gone; SIGHUP was ignored at the start" : "the terminal is gone, stopping");
    // Not end(): the kernel and a shell may both say it.
    if (!stays && !supervisor_.stopping()) begin(supervisor_.stop());
}

COHORT_DECL void Commands::scale(const Signal& signal) {
    if (signal.from_kernel) return; // some other process of the group has used the terminal
    const unsigned count = supervisor_.slot_manager().count();
    scale_and_tell(supervisor_, signal.number == SIGTTIN ? count + 1 : std::max(2U, count) - 1);
}

/// A master without a log does nothing: whoever sends this to every service ends none. A successor may have one.
COHORT_DECL void Commands::reopen_logs() {
    if (supervisor_.logs() == nullptr) return;
    supervisor_.logs()->reopen();
    supervisor_.forward_signal(SIGUSR1);
}

COHORT_DECL void Commands::end() {
    // What the program, or an upgrade, has begun to stop goes on: this is the first signal.
    if (!std::exchange(told_to_end_, true)) {
        if (!supervisor_.stopping()) begin(supervisor_.stop());
        return;
    }
    supervisor_.kill_all();
    watching_.hurry();
}

/// Where signals are read from.
struct SignalSource {
    AsyncFd descriptor;
    std::optional<Signal> (*next)(int descriptor);
};

/// What is done about signals before everything else has its turn.
inline constexpr int most_signals = 16;

COHORT_DECL Task<> obey_signals(Commands& commands, SignalSource& source) {
    for (;;) {
        std::error_code error;
        co_await source.descriptor.readable(error);
        if (error) co_return;
        for (int left = most_signals; left > 0; --left) {
            const auto signal = source.next(source.descriptor.get());
            if (!signal) break;
            commands.obey(*signal);
        }
    }
}

/// What the master's functions throw once it stops is no failure of who has called them.
COHORT_DECL bool is_told_to_stop(const Supervisor& supervisor) {
    try {
        std::rethrow_exception(current_cause());
    } catch (const std::system_error& error) {
        return error.code() == Errc::stopping && supervisor.stopping();
    } catch (...) {
        return false;
    }
}

COHORT_DECL Task<> watch_over(Supervisor& supervisor, Task<> watch, Watching& watching, int& code) {
    try {
        co_await std::move(watch);
        co_await supervisor.mail().discard();
    } catch (...) {
        end_if_forked_copy(); // before it stops what is its parent's
        if (!watching.is_cancelled() && !is_told_to_stop(supervisor)) {
            log_line(LogLevel::error, "master: " + exception_text());
            code = 1;
        }
    }
    end_if_forked_copy();
    watching.end();
    if (!watching.is_cancelled()) co_await supervisor.stop();
}

/// Whatever else still runs or waits: this is the end.
COHORT_DECL Task<> close_down(Supervisor& supervisor, std::span<SignalSource> signals, OrphanReaper& orphans,
                              Watching& watching) {
    co_await supervisor.until_finished();
    co_await supervisor.stop();
    co_await watching.until_over();
    for (SignalSource& source : signals) source.descriptor.close();
    orphans.again.cancel();
    supervisor.context().stop();
}

COHORT_DECL std::vector<int> signals_to_catch(bool reaps_strangers) {
    // The last two are blocked in this thread, but other threads may take them.
    std::vector<int> numbers{SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU};
    if (has_action(SIGUSR1, SIG_DFL)) numbers.push_back(SIGUSR1);
    if (reaps_strangers) numbers.push_back(SIGCHLD);
    return numbers;
}

/// Destroys the coroutines that are left: what they own may need the master, as a Counter does.
struct Leftovers : asio::io_context {
    static void drop(asio::io_context& context) {
        constexpr void (asio::execution_context::*shutdown)() = &Leftovers::shutdown;
        (context.*shutdown)();
    }
};

COHORT_DECL int run_to_the_end(MasterBase& master, const std::function<void()>& spawn_worker, Task<> watch) {
    Supervisor& supervisor = Access::supervisor(master);
    asio::io_context& context = supervisor.context();
    if (pending_identity) spawn_worker(); // becomes the worker, with its signals
    const bool reaps_strangers = supervisor.options().reap_strangers.value_or(inherits_orphans());
    const SignalPipe caught(signals_to_catch(reaps_strangers));
    const BlockedSignals blocked{SIGTTIN, SIGTTOU};
    OrphanReaper orphans{supervisor, Timer(context.get_executor())};
    survive_failed_writes();
    SignalSource signals[] = {
        {AsyncFd(context.get_executor(), duplicate(caught.descriptor())), &SignalPipe::next},
        {AsyncFd(context.get_executor(), duplicate(blocked.descriptor())), &BlockedSignals::next}};
    for (unsigned i = 0; i < supervisor.options().workers; ++i) spawn_worker();
    if (reaps_strangers) orphans.reap(); // children of the program that was process 1 before execve(2)
    int code = 0;
    Watching watching(context.get_executor());
    Commands commands(supervisor, orphans, watching);
    const CopyGuard guard(context);
    for (SignalSource& source : signals) spawn(context.get_executor(), obey_signals(commands, source));
    spawn(context.get_executor(), watch_over(supervisor, std::move(watch), watching, code), watching.slot());
    spawn(context.get_executor(), close_down(supervisor, signals, orphans, watching));
    context.run();
    end_if_forked_copy();
    context.restart();
    Access::drop_bus(master);
    if (supervisor.logs() != nullptr) supervisor.logs()->finish();
    context.run_for(last_moments); // what was queued is carried out; what waits for ever is dropped
    Leftovers::drop(context);
    return supervisor.has_given_up() ? 1 : code;
}

COHORT_DECL Task<> discard_messages(MasterBase& master) { return Access::supervisor(master).mail().discard(); }

COHORT_DECL unsigned number_of_workers(const Options& options) {
    if (options.workers != 0) return options.workers;
    if (options.autoscale && options.autoscale->least != 0) return options.autoscale->least;
    return cpus_to_fill();
}

COHORT_DECL void report_failure() noexcept { log_line(LogLevel::error, exception_text()); }

} // namespace cohort::detail
