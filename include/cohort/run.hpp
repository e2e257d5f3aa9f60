// SPDX-License-Identifier: MIT
// run(): a whole cluster in one call, with the signals that a supervisor expects (layer 5).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/master.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <iostream>

namespace cohort {

namespace detail {

Task<> reload_and_tell(Supervisor& supervisor);

Task<> upgrade_and_tell(Supervisor& supervisor);

void scale_and_tell(Supervisor& supervisor, unsigned workers);

/// Ended children that nobody watches. One that is watched may stand before them until the event loop has reaped it.
void reap_orphans(Supervisor& supervisor, asio::steady_timer& again);

/// The first that ends asks everybody to leave, the next one does not ask.
void end_by_signal(Supervisor& supervisor);

Task<> obey_signals(Supervisor& supervisor, AsyncFd& signals, asio::steady_timer& orphans);

/// How the master's own function ended, and the end of the cluster when it failed.
Task<> watch_over(Supervisor& supervisor, Task<> watch, int& code);

/// Waits for the last worker, stops what keeps the loop alive.
Task<> close_down(Supervisor& supervisor, AsyncFd& signals, asio::steady_timer& orphans);

/// From the first worker to the last one's end.
int run_to_the_end(Supervisor& supervisor, const std::function<void()>& spawn, Task<> watch);

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

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/run.ipp>
#endif
