// SPDX-License-Identifier: MIT
#include <cohort/detail/system/signals.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/process.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <thread>

#include <poll.h>
#include <pty.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

using namespace cohort::detail;

namespace {

template <class Source>
Signal next_signal(const Source& source) {
    pollfd readable{source.descriptor(), POLLIN, 0};
    int result = 0;
    while ((result = ::poll(&readable, 1, 5000)) < 0 && errno == EINTR) {
    }
    if (result != 1) return {};
    return Source::next(source.descriptor()).value_or(Signal{});
}

int read_signal(const SignalPipe& pipe) { return next_signal(pipe).number; }

bool is_ignored(int signal) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    return action.sa_handler == SIG_IGN;
}

} // namespace

TEST_CASE("signals can be read, in their order") {
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

TEST_CASE("a signal says who has sent it") {
    const SignalPipe caught{SIGUSR1};
    const BlockedSignals blocked{SIGUSR2};
    for (const pid_t sender : {::getpid(), pid_t{0}}) {
        const pid_t other = test::fork_child([] {
            ::kill(::getppid(), SIGUSR1);
            ::kill(::getppid(), SIGUSR2);
            return 0;
        });
        if (sender != 0) ::kill(sender, SIGUSR1), ::kill(sender, SIGUSR2);
        CHECK(test::wait_for(other) == 0);
        for (const bool first : {true, false}) {
            const Signal signal = first ? next_signal(caught) : next_signal(blocked);
            CHECK(signal.number == (first ? SIGUSR1 : SIGUSR2));
            CHECK((signal.sender == other || signal.sender == sender));
            CHECK_FALSE(signal.from_kernel);
        }
        while (SignalPipe::next(caught.descriptor())) {
        }
        while (BlockedSignals::next(blocked.descriptor())) {
        }
    }
}

TEST_CASE("what the kernel sends is known to be its own") {
    const SignalPipe caught{SIGALRM};
    const BlockedSignals blocked{SIGVTALRM};
    itimerval soon{};
    soon.it_value.tv_usec = 1000;
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    ::setitimer(ITIMER_VIRTUAL, &soon, nullptr);
    const Signal alarm = next_signal(caught);
    CHECK(alarm.number == SIGALRM);
    CHECK(alarm.from_kernel);
    CHECK(alarm.sender == 0);
    Signal virtual_alarm;
    while (virtual_alarm.number == 0) virtual_alarm = BlockedSignals::next(blocked.descriptor()).value_or(Signal{});
    CHECK(virtual_alarm.number == SIGVTALRM);
    CHECK(virtual_alarm.from_kernel);
}

TEST_CASE("a signal that was blocked and not read does nothing afterwards, and its action and the mask come back") {
    const int result = test::in_child([] {
        { // the default action would end or stop the child
            const BlockedSignals blocked{SIGTERM, SIGTTOU};
            ::raise(SIGTERM);
            ::raise(SIGTTOU);
        }
        ::signal(SIGTTOU, SIG_IGN);
        { const BlockedSignals blocked{SIGTTOU}; }
        if (!is_ignored(SIGTTOU)) return 1;
        ::raise(SIGTERM);
        return 2;
    });
    CHECK(result == -SIGTERM);
}

TEST_CASE("a signal that is blocked in one thread and caught in another is heard, whichever gets it") {
    const int result = test::in_child([] {
        std::thread other([] { ::pause(); }); // before the signal is blocked
        const SignalPipe caught{SIGTTIN};
        const BlockedSignals blocked{SIGTTIN};
        ::kill(::getpid(), SIGTTIN);
        pollfd wanted[] = {{caught.descriptor(), POLLIN, 0}, {blocked.descriptor(), POLLIN, 0}};
        std::optional<Signal> signal; // one may say that it has it, and the thread takes it first
        while (!signal && ::poll(wanted, 2, 20'000) > 0) {
            signal = SignalPipe::next(caught.descriptor());
            if (!signal) signal = BlockedSignals::next(blocked.descriptor());
        }
        ::_exit(signal && signal->number == SIGTTIN ? 0 : 2); // the thread has no end
        return 3;
    });
    CHECK(result == 0);
}

TEST_CASE("in a forked copy of the process a caught signal has its default action, and is nobody else's") {
    const SignalPipe pipe{SIGTERM};
    const int result = test::in_child([] {
        ::raise(SIGTERM);
        return 1;
    });
    CHECK(result == -SIGTERM);
    CHECK_FALSE(SignalPipe::next(pipe.descriptor()));
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

TEST_CASE("a thread that uses its terminal from the background, where its signal is not blocked, gets on") {
    // In a session of its own, with a job that is not in the foreground; the line is what the terminal is read for.
    int terminal = -1;
    const pid_t session = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    REQUIRE(session >= 0);
    if (session == 0) {
        termios settings{};
        ::tcgetattr(0, &settings);
        settings.c_lflag |= TOSTOP;
        ::tcsetattr(0, TCSANOW, &settings);
        const pid_t job = ::fork();
        if (job != 0) {
            ::setpgid(job, job);
            ::waitpid(job, nullptr, 0);
            ::_exit(0);
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::setpgid(0, 0);
        std::atomic<bool> caught = false;
        std::thread other([&] {
            caught.wait(false);
            [[maybe_unused]] const auto written = ::write(1, "line", 4);
        });
        const SignalPipe pipe{SIGTTOU};
        const BlockedSignals blocked{SIGTTOU};
        caught = true;
        caught.notify_all();
        other.join();
        ::_exit(0);
    }
    char line[5] = {};
    CHECK((test::readable_within(terminal, std::chrono::seconds(10)) && ::read(terminal, line, 4) == 4));
    CHECK(line == std::string("line"));
    ::kill(session, SIGKILL);
    ::waitpid(session, nullptr, 0);
    ::close(terminal);
}
