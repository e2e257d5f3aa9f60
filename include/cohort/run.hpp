// SPDX-License-Identifier: MIT
// run(): a whole cluster in one call, with the signals that a supervisor expects (layer 5).
#pragma once

#include <cohort/detail/worker/worker_spec.hpp>
#include <cohort/master.hpp>
#include <cohort/options.hpp>
#include <cohort/task.hpp>
#include <cohort/worker.hpp>

#include <asio/io_context.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <utility>

namespace cohort {

namespace detail {

/// Starts the workers and runs the master until the last of them has ended. `spawn_worker` starts one worker, `watch`
/// is the master's function. Returns the exit code.
int run_to_the_end(MasterBase& master, const std::function<void()>& spawn_worker, Task<> watch);
/// Receives all messages and drops them.
Task<> discard_messages(MasterBase& master);
/// Options::workers, or its default if 0.
unsigned number_of_workers(const Options& options);
void report_failure() noexcept;

} // namespace detail

/// Runs a cluster until its last worker has gone and none will come: `work` in each of Options::workers processes,
/// `watch` in this one. As process 1 of a container it reaps whoever is left to it (Options::reap_strangers).
///
/// SIGTERM, SIGINT and SIGQUIT stop it gracefully (Options::grace), a second one at once; SIGHUP reloads
/// (Master::reload), SIGUSR2 replaces the master (Master::upgrade), and a line on standard error says how that went;
/// SIGTTIN and SIGTTOU start one worker more or end one, but not the last; SIGUSR1 has the log opened anew
/// (Options::logs), unless the program has a handler for it. They may be sent to all processes of the service alike:
/// workers leave them to the master. One that gets SIGTERM, SIGINT or SIGQUIT alone is replaced: it leaves when its
/// successor is ready; a second one ends it at once.
///
/// What a terminal sends is no command: in its background the cluster may write to it, also after `stty tostop`. A
/// SIGHUP because the terminal is gone stops the cluster gracefully, and a line on standard error says so; where SIGHUP
/// was ignored at the start, as by nohup(1), it goes on.
///
/// When `watch` returns the workers go on; when it throws they are stopped. If it has not returned a second after the
/// last worker ended, or when a second signal comes, it is cancelled; whatever else then still runs in the master has
/// one more second. Returns the exit code for main: 1 when something could not be started, when `watch` threw, or when
/// a slot was given up.
///
///     int main() { return run<Master<Hit>>({.workers = 4}, watch, work); }
template <class App, class Watch, class Work>
int run(Options options, Watch watch, Work work) {
    static_assert(
        requires(App& app) {
            { watch(app) } -> std::same_as<Task<>>;
        }, "cohort: the master's function given to run must be callable as Task<>(App&)");
    try {
        options.workers = detail::number_of_workers(options);
        const auto args = options.worker.args;
        detail::run_if_started_as_worker(options, detail::worker_factory<typename App::Worker>(work, options, args));
        asio::io_context context(1);
        App app(context, options);
        return detail::run_to_the_end(
            app, [&] { app.spawn(work); }, watch(app));
    } catch (...) {
        detail::report_failure();
        return 1;
    }
}

/// Without a function for the master: messages are received and dropped.
template <class App, class Work>
int run(Options options, Work work) {
    return run<App>(
        std::move(options), [](App& app) { return detail::discard_messages(app); }, std::move(work));
}

/// Workers that are a program: Options::workers times the one that Options::worker describes (Master::spawn_program).
template <class App, class Watch>
int run_program(Options options, Watch watch) {
    static_assert(
        requires(App& app) {
            { watch(app) } -> std::same_as<Task<>>;
        }, "cohort: the master's function given to run_program must be callable as Task<>(App&)");
    try {
        options.workers = detail::number_of_workers(options);
        asio::io_context context(1);
        App app(context, options);
        return detail::run_to_the_end(
            app, [&] { app.spawn_program(options.worker); }, watch(app));
    } catch (...) {
        detail::report_failure();
        return 1;
    }
}

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/run.ipp>
#endif
