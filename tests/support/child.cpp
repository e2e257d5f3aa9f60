// SPDX-License-Identifier: MIT
#include "child.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include <sys/wait.h>

namespace test {

pid_t fork_mortal() {
    std::cout.flush();
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) ::alarm(30);
    return pid;
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return 1000;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

} // namespace test
