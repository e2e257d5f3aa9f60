// SPDX-License-Identifier: MIT
// Processes that tests fork: they report by how they end, and end in any case.
#pragma once

#include <doctest/doctest.h>

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

namespace test {

/// Forks a child that runs `body` and exits with what it returns: 99 if it throws, by SIGALRM if it takes too long.
template <class Body>
pid_t fork_child(Body&& body) {
    std::cout.flush();
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid != 0) return pid;
    ::alarm(30);
    int code = 99;
    try {
        code = std::forward<Body>(body)();
    } catch (...) {
    }
    ::_exit(code);
}

/// How the child ended: its exit code, or the signal that killed it as a negative number.
inline int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return 1000;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

template <class Body>
int in_child(Body&& body) {
    return wait_for(fork_child(std::forward<Body>(body)));
}

} // namespace test
