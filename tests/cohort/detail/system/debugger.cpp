// SPDX-License-Identifier: MIT
#include <cohort/detail/system/debugger.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <csignal>

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

using cohort::detail::debugger_of;

TEST_CASE("who debugs a process is known, and that nobody does") {
    const pid_t child = test::fork_child([] { return ::pause(); });
    CHECK(debugger_of(child) == 0);
    if (::ptrace(PTRACE_SEIZE, child, nullptr, nullptr) == 0)
        CHECK(debugger_of(child) == ::getpid());
    else
        MESSAGE("ptrace is not permitted here");
    ::kill(child, SIGKILL);
    CHECK(test::wait_for(child) == -SIGKILL);
    CHECK(debugger_of(-1) == 0);
}

TEST_CASE("a process does not pass for debugged because a child of its own traces it") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = test::fork_child([&ends] {
        ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        const pid_t parent = ::getpid();
        if (::fork() == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            const char traces = ::ptrace(PTRACE_SEIZE, parent, nullptr, nullptr) == 0 ? 'y' : 'n';
            [[maybe_unused]] const auto told = ::write(ends[1], &traces, 1);
            ::pause();
            ::_exit(0);
        }
        return ::pause();
    });
    char traces = 'n';
    REQUIRE(::read(ends[0], &traces, 1) == 1);
    if (traces == 'y')
        CHECK(debugger_of(child) == 0);
    else
        MESSAGE("ptrace is not permitted here");
    ::kill(child, SIGKILL);
    CHECK(test::wait_for(child) == -SIGKILL);
    ::close(ends[0]);
    ::close(ends[1]);
}
