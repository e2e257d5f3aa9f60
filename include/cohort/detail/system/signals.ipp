// SPDX-License-Identifier: MIT
// The bodies of signals.hpp (layer 2).
#pragma once

#include <cohort/detail/system/signals.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <fcntl.h>

namespace cohort::detail {

COHORT_DECL SignalPipe::SignalPipe(std::span<const int> signals) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw_last_error("pipe2");
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
    target().store(write_.get());
    struct sigaction action {};
    action.sa_handler = &SignalPipe::caught;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    sigset_t heard;
    sigemptyset(&heard);
    for (const int signal : signals) {
        struct sigaction previous {};
        ::sigaction(signal, &action, &previous);
        previous_.emplace_back(signal, previous);
        sigaddset(&heard, signal);
    }
    ::sigprocmask(SIG_UNBLOCK, &heard, &previous_mask_);
}

COHORT_DECL void SignalPipe::caught(int signal) noexcept {
    const int saved = errno;
    const auto byte = static_cast<unsigned char>(signal);
    [[maybe_unused]] const auto written = ::write(target().load(), &byte, 1);
    errno = saved;
}

COHORT_DECL SignalsBlocked::SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &previous_);
}

COHORT_DECL bool is_crash_handler(int signal, const struct sigaction& action) noexcept {
    switch (signal) {
        case SIGSEGV:
        case SIGBUS:
        case SIGFPE:
        case SIGILL:
        case SIGABRT:
        case SIGTRAP:
        case SIGSYS:
            return (action.sa_flags & SA_SIGINFO) != 0 ||
                   (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
        default: return false;
    }
}

COHORT_DECL void survive_broken_pipes() noexcept {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGPIPE, &action, nullptr);
}

COHORT_DECL void reset_signals() noexcept {
    struct sigaction normal {};
    normal.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction found {};
        if (::sigaction(signal, nullptr, &found) == 0 && is_crash_handler(signal, found)) continue;
        ::sigaction(signal, &normal, nullptr);
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

COHORT_DECL void keep_exit_statuses() noexcept {
    struct sigaction action {};
    ::sigaction(SIGCHLD, nullptr, &action);
    const bool ignored = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
    if (!ignored && (action.sa_flags & SA_NOCLDWAIT) == 0) return;
    if (ignored) action.sa_handler = SIG_DFL;
    action.sa_flags &= ~SA_NOCLDWAIT;
    ::sigaction(SIGCHLD, &action, nullptr);
}

} // namespace cohort::detail
