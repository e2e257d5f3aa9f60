// SPDX-License-Identifier: MIT
#include <cohort/detail/system/signals.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <poll.h>

using namespace cohort::detail;

namespace {

int read_signal(const SignalPipe& pipe) {
    pollfd readable{pipe.descriptor(), POLLIN, 0};
    if (::poll(&readable, 1, 5000) != 1) return 0;
    unsigned char byte = 0;
    return ::read(pipe.descriptor(), &byte, 1) == 1 ? byte : 0;
}

bool is_ignored(int signal) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    return action.sa_handler == SIG_IGN;
}

} // namespace

TEST_CASE("signals come as bytes, in their order") {
    const SignalPipe pipe{SIGUSR1, SIGUSR2};
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    CHECK(read_signal(pipe) == SIGUSR1);
    CHECK(read_signal(pipe) == SIGUSR2);
    CHECK(read_signal(pipe) == SIGUSR1);
}

TEST_CASE("the dispositions from before come back") {
    auto* const previous = ::signal(SIGUSR1, SIG_IGN);
    {
        const SignalPipe pipe{SIGUSR1};
        CHECK_FALSE(is_ignored(SIGUSR1));
    }
    CHECK(is_ignored(SIGUSR1));
    ::signal(SIGUSR1, previous);
}

TEST_CASE("more signals than the pipe holds neither block nor harm errno") {
    const SignalPipe pipe{SIGUSR1};
    errno = 77;
    for (int i = 0; i < 100'000; ++i) ::raise(SIGUSR1);
    CHECK(errno == 77);
    CHECK(read_signal(pipe) == SIGUSR1);
}

TEST_CASE("while signals are blocked none is taken, afterwards it is") {
    const SignalPipe pipe{SIGUSR1};
    {
        const SignalsBlocked blocked;
        ::raise(SIGUSR1);
        pollfd readable{pipe.descriptor(), POLLIN, 0};
        CHECK(::poll(&readable, 1, 0) == 0);
    }
    CHECK(read_signal(pipe) == SIGUSR1);
}

TEST_CASE("after a reset signals do what they do to any new process") {
    const int result = test::in_child([] {
        const SignalPipe pipe{SIGTERM};
        ::signal(SIGPIPE, SIG_IGN);
        const SignalsBlocked blocked;
        reset_signals();
        if (is_ignored(SIGPIPE)) return 1;
        ::raise(SIGTERM);
        return 2;
    });
    CHECK(result == -SIGTERM);
}
