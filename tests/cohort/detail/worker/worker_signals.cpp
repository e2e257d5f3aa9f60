// SPDX-License-Identifier: MIT
#include <cohort/detail/worker/worker_signals.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <poll.h>
#include <sys/wait.h>

using namespace cohort::detail;

namespace {

bool is_readable(int fd) {
    pollfd readable{fd, POLLIN, 0};
    return ::poll(&readable, 1, 0) == 1;
}

/// Sent by somebody else than the parent.
void raise_from_outside(int signal) { ::kill(::getpid(), signal); }

} // namespace

TEST_CASE("the first of the signals that end is a question, the others do nothing") {
    for (const int ends : {SIGTERM, SIGINT, SIGQUIT}) {
        CAPTURE(ends);
        const int result = test::in_child([ends] {
            WorkerSignals::install();
            WorkerSignals::install();
            for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU}) raise_from_outside(signal);
            if (WorkerSignals::is_asked()) return 1;
            const UniqueFd event = WorkerSignals::open();
            if (is_readable(event.get())) return 2;
            raise_from_outside(ends);
            if (!WorkerSignals::is_asked() || !is_readable(event.get())) return 3;
            return is_readable(WorkerSignals::open().get()) ? 0 : 4;
        });
        CHECK(result == 0);
    }
}

TEST_CASE("a second one ends the process, whichever it is") {
    for (const auto& [first, second] : {std::pair{SIGTERM, SIGTERM}, {SIGTERM, SIGINT}, {SIGQUIT, SIGTERM}}) {
        const int result = test::in_child([first = first, second = second] {
            WorkerSignals::install();
            raise_from_outside(first);
            raise_from_outside(second);
            return 1;
        });
        CHECK(result == -second);
    }
}

TEST_CASE("what the master sends is one question with the others") {
    const int result = test::in_child([] {
        const pid_t worker = test::fork_child([] {
            WorkerSignals::install();
            raise_from_outside(SIGTERM);
            ::raise(SIGSTOP);
            return WorkerSignals::is_asked() ? 5 : 6;
        });
        ::waitpid(worker, nullptr, WUNTRACED);
        ::kill(worker, SIGTERM);
        ::kill(worker, SIGINT);
        ::kill(worker, SIGCONT);
        return test::wait_for(worker);
    });
    CHECK(result == 5);
}

TEST_CASE("what the program does at a signal stays") {
    const int result = test::in_child([] {
        ::signal(SIGTERM, [](int) { ::_exit(7); });
        ::signal(SIGINT, SIG_IGN);
        WorkerSignals::install();
        raise_from_outside(SIGINT);
        if (WorkerSignals::is_asked()) return 1;
        raise_from_outside(SIGTERM);
        return 2;
    });
    CHECK(result == 7);
}

TEST_CASE("in a child that the worker has forked signals have their default actions, and it is not asked") {
    for (const int signal : {SIGTERM, SIGHUP, SIGUSR1}) {
        const int result = test::in_child([signal] {
            WorkerSignals::install();
            const UniqueFd event = WorkerSignals::open();
            const int end = test::in_child([signal] {
                raise_from_outside(signal);
                return 1;
            });
            return end == -signal && !WorkerSignals::is_asked() && !is_readable(event.get()) ? 0 : 2;
        });
        CHECK(result == 0);
    }
}
