// SPDX-License-Identifier: MIT
// The bodies of signals.hpp (layer 2).
#pragma once

#include <cohort/detail/system/signals.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>

#include <cerrno>

#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL sigset_t set_of(std::span<const int> signals) noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    return set;
}

COHORT_DECL SignalPipe::SignalPipe(std::span<const int> signals) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw_last_error("pipe2");
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
    target().store(write_.get());
    process().store(::getpid());
    struct sigaction action {};
    action.sa_sigaction = &SignalPipe::caught;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigfillset(&action.sa_mask);
    for (const int signal : signals) {
        struct sigaction previous {};
        const bool is_normal = has_action(signal, SIG_DFL);
        ::sigaction(signal, &action, &previous);
        if (is_normal) previous.sa_handler = SIG_DFL;
        previous_.emplace_back(signal, previous);
    }
    const sigset_t heard = set_of(signals);
    ::sigprocmask(SIG_UNBLOCK, &heard, &previous_mask_);
}

COHORT_DECL void SignalPipe::caught(int signal, siginfo_t* info, void* context) noexcept {
    const int saved = errno;
    if (::getpid() != process()) return take_default_action(signal);
    // The thread has used its terminal from the background, and would do it again for ever. Blocked, it may write.
    const bool is_of_terminal = signal == SIGTTIN || signal == SIGTTOU;
    if (is_of_terminal && info->si_code == SI_KERNEL) sigaddset(&static_cast<ucontext_t*>(context)->uc_sigmask, signal);
    const Signal caught{signal, info->si_code <= 0 ? info->si_pid : 0, info->si_code == SI_KERNEL};
    [[maybe_unused]] const auto written = ::write(target().load(), &caught, sizeof caught); // whole: pipe(7), PIPE_BUF
    errno = saved;
}

COHORT_DECL std::optional<Signal> SignalPipe::next(int descriptor) noexcept {
    Signal signal;
    if (::read(descriptor, &signal, sizeof signal) != static_cast<ssize_t>(sizeof signal)) return std::nullopt;
    return signal;
}

COHORT_DECL BlockedSignals::BlockedSignals(std::initializer_list<int> signals) : signals_(signals) {
    const sigset_t blocked = set_of(signals_);
    fd_ = UniqueFd(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_) throw_last_error("signalfd");
    ::sigprocmask(SIG_BLOCK, &blocked, &previous_mask_);
}

COHORT_DECL BlockedSignals::~BlockedSignals() {
    struct sigaction previous {};
    struct sigaction ignored {};
    ignored.sa_handler = SIG_IGN;
    for (const int signal : signals_) {
        ::sigaction(signal, &ignored, &previous); // one that has come and was not read would stop the process now
        ::sigaction(signal, &previous, nullptr);
    }
    ::sigprocmask(SIG_SETMASK, &previous_mask_, nullptr);
}

COHORT_DECL std::optional<Signal> BlockedSignals::next(int descriptor) noexcept {
    signalfd_siginfo info{};
    if (::read(descriptor, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
    return Signal{static_cast<int>(info.ssi_signo), static_cast<pid_t>(info.ssi_code <= 0 ? info.ssi_pid : 0),
                  info.ssi_code == SI_KERNEL};
}

COHORT_DECL SignalsBlocked::SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &previous_);
}

COHORT_DECL SignalsHeld::SignalsHeld(std::span<const int> signals) noexcept {
    const sigset_t held = set_of(signals);
    ::sigprocmask(SIG_BLOCK, &held, &previous_);
}

COHORT_DECL void release_signals(std::span<const int> signals) noexcept {
    const sigset_t held = set_of(signals);
    ::sigprocmask(SIG_UNBLOCK, &held, nullptr);
}

COHORT_DECL void disregard(int) noexcept {}

COHORT_DECL void disregard_commands() noexcept {
    struct sigaction action {};
    action.sa_handler = &disregard;
    action.sa_flags = SA_RESTART;
    for (const int signal : command_signals)
        if (has_action(signal, SIG_DFL)) ::sigaction(signal, &action, nullptr);
}

COHORT_DECL void accept_commands() noexcept {
    for (const int signal : command_signals)
        if (has_action(signal, SIG_DFL)) ::signal(signal, SIG_DFL);
}

COHORT_DECL bool is_crash_signal(int signal) noexcept {
    switch (signal) {
        case SIGSEGV:
        case SIGBUS:
        case SIGFPE:
        case SIGILL:
        case SIGABRT:
        case SIGTRAP:
        case SIGSYS: return true;
        default: return false;
    }
}

COHORT_DECL bool has_action(int signal, void (*action)(int)) noexcept {
    struct sigaction found {};
    ::sigaction(signal, nullptr, &found);
    const bool is_disregarded = found.sa_handler == &disregard;
    return (found.sa_flags & SA_SIGINFO) == 0 && (is_disregarded ? SIG_DFL : found.sa_handler) == action;
}

COHORT_DECL void survive_failed_writes() noexcept {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGPIPE, SIGXFSZ}) ::sigaction(signal, &action, nullptr);
}

COHORT_DECL void take_default_action(int signal) noexcept {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

COHORT_DECL void reset_signal_actions() noexcept {
    struct sigaction normal {};
    normal.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) {
        const bool is_kept = is_crash_signal(signal) && !has_action(signal, SIG_DFL) && !has_action(signal, SIG_IGN);
        if (!is_kept) ::sigaction(signal, &normal, nullptr); // each question would be a system call, too
    }
}

COHORT_DECL void reset_signals(void (*set_signals)()) noexcept {
    SignalsBlocked blocked;
    blocked.forget_previous();
    reset_signal_actions();
    if (set_signals != nullptr) set_signals();
}

COHORT_DECL void keep_exit_statuses() noexcept {
    struct sigaction action {};
    ::sigaction(SIGCHLD, nullptr, &action);
    const bool ignored = has_action(SIGCHLD, SIG_IGN);
    if (!ignored && (action.sa_flags & SA_NOCLDWAIT) == 0) return;
    if (ignored) action.sa_handler = SIG_DFL;
    action.sa_flags &= ~SA_NOCLDWAIT;
    ::sigaction(SIGCHLD, &action, nullptr);
}

} // namespace cohort::detail
