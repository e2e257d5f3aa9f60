// SPDX-License-Identifier: MIT
// run(): a whole cluster in one call, with the signals that a supervisor expects (layer 5).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/system/orphan_reaper.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/master.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <iostream>
#include <vector>

namespace cohort {

namespace detail {

inline Task<> reload_and_tell(Supervisor& supervisor) {
    const ReloadReport report = co_await supervisor.reload();
    if (!report) std::cerr << "cohort: reload: " << report.error.message() << std::endl;
}

inline Task<> upgrade_and_tell(Supervisor& supervisor) {
    const ReloadReport report = co_await supervisor.upgrade();
    if (!report) std::cerr << "cohort: upgrade: " << report.error.message() << std::endl;
}

inline void scale_and_tell(Supervisor& supervisor, unsigned workers) {
    try {
        supervisor.slot_manager().scale(workers);
    } catch (const std::system_error& error) {
        std::cerr << "cohort: scale: " << error.what() << std::endl;
    }
}

/// Ended children that nobody watches. One that is watched may stand before them until the event loop has reaped it.
inline void reap_orphans(Supervisor& supervisor, asio::steady_timer& again) {
    if (reap_strangers([&](pid_t pid) { return supervisor.is_watched(pid); })) return;
    again.expires_after(std::chrono::milliseconds(20));
    again.async_wait([&](std::error_code error) {
        if (!error) reap_orphans(supervisor, again);
    });
}

/// The first that ends asks everybody to leave, the next one does not ask.
inline void end_by_signal(Supervisor& supervisor) {
    if (supervisor.stopping())
        supervisor.kill_all();
    else
        asio::co_spawn(supervisor.context(), supervisor.stop(), asio::detached);
}

inline Task<> obey_signals(Supervisor& supervisor, AsyncFd& signals, asio::steady_timer& orphans) {
    for (;;) {
        std::error_code error;
        co_await signals.readable(error);
        if (error) co_return;
        unsigned char signal = 0;
        while (::read(signals.get(), &signal, 1) == 1) {
            switch (signal) {
                case SIGCHLD: reap_orphans(supervisor, orphans); break;
                case SIGHUP: asio::co_spawn(supervisor.context(), reload_and_tell(supervisor), asio::detached); break;
                case SIGUSR2: asio::co_spawn(supervisor.context(), upgrade_and_tell(supervisor), asio::detached); break;
                case SIGTTIN: scale_and_tell(supervisor, supervisor.slot_manager().count() + 1); break;
                case SIGTTOU: scale_and_tell(supervisor, std::max(2U, supervisor.slot_manager().count()) - 1); break;
                default: end_by_signal(supervisor);
            }
        }
    }
}

/// How the master's own function ended, and the end of the cluster when it failed.
inline Task<> watch_over(Supervisor& supervisor, Task<> watch, int& code) {
    try {
        co_await std::move(watch);
        co_await supervisor.mail().discard();
    } catch (const std::exception& error) {
        std::cerr << "cohort: master: " << error.what() << std::endl;
        code = 1;
    }
    co_await supervisor.stop();
}

/// Waits for the last worker, stops what keeps the loop alive.
inline Task<> close_down(Supervisor& supervisor, AsyncFd& signals, asio::steady_timer& orphans) {
    co_await supervisor.until_finished();
    co_await supervisor.stop();
    signals.close();
    orphans.cancel();
}

/// From the first worker to the last one's end.
inline int run_to_the_end(Supervisor& supervisor, const std::function<void()>& spawn, Task<> watch) {
    asio::io_context& context = supervisor.context();
    std::vector<int> numbers{SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU};
    const bool reaps_strangers = supervisor.options().reap_strangers.value_or(inherits_orphans());
    if (reaps_strangers) numbers.push_back(SIGCHLD);
    SignalPipe pipe(numbers);
    asio::steady_timer orphans(context);
    ::signal(SIGPIPE, SIG_IGN);
    AsyncFd signals(context.get_executor(), duplicate(pipe.descriptor()));
    for (unsigned i = 0; i < supervisor.options().workers; ++i) spawn();
    if (reaps_strangers) reap_orphans(supervisor, orphans); // of those who were process 1 before
    int code = 0;
    asio::co_spawn(context, obey_signals(supervisor, signals, orphans), asio::detached);
    asio::co_spawn(context, watch_over(supervisor, std::move(watch), code), asio::detached);
    asio::co_spawn(context, close_down(supervisor, signals, orphans), asio::detached);
    context.run();
    return supervisor.has_given_up() ? 1 : code;
}

} // namespace detail

/// Runs a cluster until its last worker has gone and none will come: `work` in each of Options::workers processes,
/// `watch` in this one. SIGTERM, SIGINT and SIGQUIT stop it gracefully (Options::grace), a second one at once; SIGHUP
/// reloads (Master::reload), SIGUSR2 replaces the master (Master::upgrade), SIGTTIN and SIGTTOU start one worker more
/// or end one, but not the last. As process 1 of a container it reaps whoever is left to it (Options::reap_strangers).
/// When `watch` returns the workers go on; when it throws they are stopped. Returns the exit code for main: 1 when
/// something could not be started, when `watch` threw, or when a slot was given up.
///
///     int main() { return run<Master<Hit>>({.workers = 4}, watch, work); }
template <class App, class Watch, class Work>
int run(Options options, Watch watch, Work work) {
    static_assert(
        requires(App& app) {
            { watch(app) } -> std::same_as<Task<>>;
        }, "cohort: the master's function given to run must be callable as Task<>(App&)");
    try {
        if (options.workers == 0 && options.autoscale) options.workers = options.autoscale->least;
        if (options.workers == 0) options.workers = std::max(1U, static_cast<unsigned>(detail::usable_cpus().size()));
        const auto args = options.worker.args;
        detail::run_if_started_as_worker(options, detail::worker_factory<typename App::Worker>(work, options, args));
        asio::io_context context(1);
        App app(context, options);
        return detail::run_to_the_end(
            app.supervisor(), [&] { app.spawn(work); }, watch(app));
    } catch (const std::exception& error) {
        std::cerr << "cohort: " << error.what() << std::endl;
        return 1;
    }
}

/// Without a function for the master: messages are received and dropped.
template <class App, class Work>
int run(Options options, Work work) {
    return run<App>(
        std::move(options), [](App& app) { return app.supervisor().mail().discard(); }, std::move(work));
}

} // namespace cohort
