// SPDX-License-Identifier: MIT
// Processes that tests fork: they report by how they end, and end in any case.
#pragma once

#include <utility>

#include <sys/types.h>
#include <unistd.h>

namespace test {

/// fork(), with nothing left to write twice, and an end by SIGALRM for a child that takes too long.
pid_t fork_mortal();

/// Forks a child that runs `body` and exits with what it returns: 99 if it throws, by SIGALRM if it takes too long.
template <class Body>
pid_t fork_child(Body&& body) {
    const pid_t pid = fork_mortal();
    if (pid != 0) return pid;
    int code = 99;
    try {
        code = std::forward<Body>(body)();
    } catch (...) {
    }
    ::_exit(code);
}

/// How the child ended: its exit code, or the signal that killed it as a negative number.
int wait_for(pid_t pid);

template <class Body>
int in_child(Body&& body) {
    return wait_for(fork_child(std::forward<Body>(body)));
}

} // namespace test
