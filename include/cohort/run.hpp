// SPDX-License-Identifier: MIT
// run(): a whole cluster in one call, with the signals that a supervisor expects (layer 5).
#pragma once

#include <cohort/detail/async_fd.hpp>
#include <cohort/detail/signals.hpp>
#include <cohort/master.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include <exception>
#include <iostream>

namespace cohort {

namespace detail {

/// CPUs this process may use: sched_getaffinity(2).
inline unsigned usable_cpus() noexcept {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

/// The first signal asks everybody to leave, the next one does not ask.
template <class App>
Task<> obey_signals(App& app, AsyncFd& signals) {
    for (;;) {
        std::error_code error;
        co_await signals.readable(error);
        if (error) co_return;
        unsigned char signal = 0;
        while (::read(signals.get(), &signal, 1) == 1) {
            if (app.stopping())
                app.kill_all();
            else
                asio::co_spawn(app.context(), app.stop(), asio::detached);
        }
    }
}

template <class App>
Task<> discard_mail(App& app) {
    // Named: GCC 12 destroys an unnamed result of co_await in a condition wrongly.
    while (const auto mail = co_await app.receive()) {
    }
}

/// How the master's own function ended, and the end of the cluster when it failed.
template <class App, class Watch>
Task<> watch_over(App& app, Watch watch, int& code) {
    try {
        co_await watch(app);
        co_await discard_mail(app);
    } catch (const std::exception& error) {
        std::cerr << "cohort: master: " << error.what() << std::endl;
        code = 1;
    }
    co_await app.stop();
}

/// Waits for the last worker, stops what keeps the loop alive.
template <class App>
Task<> close_down(App& app, AsyncFd& signals) {
    co_await app.until_finished();
    co_await app.stop();
    signals.close();
}

} // namespace detail

/// Runs a cluster until its last worker has gone and none will come: `work` in each of Options::workers processes,
/// `watch` in this one. SIGTERM, SIGINT and SIGQUIT stop it gracefully (Options::grace), a second one at once. When
/// `watch` returns the workers go on; when it throws they are stopped. Returns the exit code for main: 1 when something
/// could not be started, when `watch` threw, or when a slot was given up.
///
///     int main() { return run<Master<Hit>>({.workers = 4}, watch, work); }
template <class App, class Watch, class Work>
int run(Options options, Watch watch, Work work) {
    static_assert(
        requires(App& app) {
            { watch(app) } -> std::same_as<Task<>>;
        }, "cohort: the master's function given to run must be callable as Task<>(App&)");
    int code = 0;
    try {
        if (options.workers == 0) options.workers = detail::usable_cpus();
        detail::live_if_started_as_worker<typename App::Worker>(options, options.worker.args,
                                                                detail::erase_body<typename App::Worker>(work));
        asio::io_context context(1);
        App app(context, options);
        detail::SignalPipe pipe({SIGTERM, SIGINT, SIGQUIT});
        ::signal(SIGPIPE, SIG_IGN);
        detail::AsyncFd signals(context.get_executor(),
                                detail::UniqueFd(::fcntl(pipe.descriptor(), F_DUPFD_CLOEXEC, 3)));
        for (unsigned i = 0; i < options.workers; ++i) app.spawn(work);
        asio::co_spawn(context, detail::obey_signals(app, signals), asio::detached);
        asio::co_spawn(context, detail::watch_over(app, watch, code), asio::detached);
        asio::co_spawn(context, detail::close_down(app, signals), asio::detached);
        context.run();
        if (app.has_given_up()) code = 1;
    } catch (const std::exception& error) {
        std::cerr << "cohort: " << error.what() << std::endl;
        code = 1;
    }
    return code;
}

/// Without a function for the master: messages are received and dropped.
template <class App, class Work>
int run(Options options, Work work) {
    return run<App>(
        std::move(options), [](App& app) { return detail::discard_mail(app); }, std::move(work));
}

} // namespace cohort
