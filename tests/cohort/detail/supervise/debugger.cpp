// SPDX-License-Identifier: MIT
#include <cohort/detail/supervise/debugger.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <csignal>

#include <sys/ptrace.h>
#include <sys/wait.h>

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
