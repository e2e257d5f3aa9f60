// SPDX-License-Identifier: MIT
// The bodies of worker_main.hpp and worker_spec.hpp (layer 4).
#pragma once

#include <cohort/detail/worker/worker_main.hpp>

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/copy_guard.hpp>
#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/system/fork.hpp>
#include <cohort/detail/system/forked_copy.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/worker/abort_report.hpp>
#include <cohort/detail/worker/identity.hpp>
#include <cohort/detail/worker/worker_core.hpp>
#include <cohort/detail/worker/worker_signals.hpp>

#include <asio/io_context.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cohort::detail {

/// A body that was about to listen when the worker was asked to leave has not failed.
COHORT_DECL bool is_failure(const WorkerCore& core) {
    try {
        std::rethrow_exception(current_cause());
    } catch (const std::system_error& error) {
        return error.code() != Errc::stopping || !core.stopping();
    } catch (...) {
        return true;
    }
}

/// From the first step of the body to the end of the process.
COHORT_DECL Task<> run_body(WorkerCore& core, Task<int> body) {
    int code = 0;
    try {
        code = co_await std::move(body);
    } catch (...) {
        if (is_failure(core)) {
            log_line(LogLevel::error, "worker " + std::to_string(core.identity().id) + ": " + exception_text());
            code = 1;
        }
    }
    core.exit(code);
}

/// Standard output to a pipe is else written when 4 KiB have come together (setvbuf(3)), and a crash would lose them.
COHORT_DECL void buffer_lines() noexcept {
    struct stat status {};
    if (::fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode)) ::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
}

COHORT_DECL void run_as_worker(SharedPage& page, const Identity& identity, const Options& options,
                               const MakeWorker& make) {
    in_worker = true;
    static WorkerCore* current = nullptr;
    static AsyncFd* asked_to_leave = nullptr;
    try {
        WorkerSignals::install();
        if (!identity.dumpable) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // here, since execve(2) would undo it
        die_with_parent(identity.master, options.grace);
        AbortReport::install(identity.id, identity.slot, page.worker(identity.cell), page.requests(identity.cell));
        survive_failed_writes();
        if (options.logs) buffer_lines();
        if (options.hooks.in_worker) options.hooks.in_worker(identity.id, identity.slot);
        auto* const context = new asio::io_context(1);
        RunningWorker worker = make({*context, page, identity});
        current = worker.core;
        static const pid_t process = ::getpid();
        // A child that the worker has forked has these too, and none of it is the child's.
        std::atexit([] {
            if (::getpid() == process) current->finish();
        });
        const CopyGuard guard(*context, [](int(&links)[CopyGuard::most_links]) {
            std::tie(links[0], links[1]) = current->links();
            return CopyGuard::most_links;
        });
        asked_to_leave = new AsyncFd(context->get_executor(), WorkerSignals::open());
        asked_to_leave->when_readable(action<&WorkerCore::leave_when_replaced>(current));
        spawn(context->get_executor(), run_body(*current, std::move(worker.body)));
        context->run();
        end_if_forked_copy();
    } catch (...) {
        log_line(LogLevel::error, "worker " + std::to_string(identity.id) + ": " + exception_text());
    }
    leave_process(1);
}

COHORT_DECL void run_if_started_as_worker(const Options& options, const MakeWorker& make) {
    const auto identity = std::exchange(pending_identity, std::nullopt);
    if (!identity) return;
    reset_signals(&WorkerSignals::install); // signal settings that main() made for the master do not apply
    auto* const page = new SharedPage(UniqueFd(identity->page), UniqueFd(identity->part), identity->cell, identity->id);
    run_as_worker(*page, *identity, options, make);
}

COHORT_DECL Task<int> with_code_0(Task<> body) {
    co_await std::move(body);
    co_return 0;
}

} // namespace cohort::detail
