// SPDX-License-Identifier: MIT
// SignalPipe: signals as bytes that can be read, and dispositions as a child wants them (layer 2).
#pragma once

#include <cohort/detail/system/system.hpp>

#include <atomic>
#include <csignal>
#include <initializer_list>
#include <span>
#include <vector>

#include <fcntl.h>

namespace cohort::detail {

/// While it lives, the given signals arrive as bytes on descriptor(). Caught signals, unlike blocked ones, are back to
/// normal in every program that is started from here. One at a time in a process.
class SignalPipe {
public:
    explicit SignalPipe(std::span<const int> signals) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw_last_error("pipe2");
        read_ = UniqueFd(ends[0]);
        write_ = UniqueFd(ends[1]);
        target().store(write_.get());
        struct sigaction action {};
        action.sa_handler = &SignalPipe::caught;
        action.sa_flags = SA_RESTART;
        sigfillset(&action.sa_mask);
        for (const int signal : signals) {
            struct sigaction previous {};
            ::sigaction(signal, &action, &previous);
            previous_.emplace_back(signal, previous);
        }
    }
    explicit SignalPipe(std::initializer_list<int> signals) : SignalPipe(std::span(signals.begin(), signals.size())) {}
    SignalPipe(const SignalPipe&) = delete;
    SignalPipe& operator=(const SignalPipe&) = delete;
    ~SignalPipe() {
        for (const auto& [signal, action] : previous_) ::sigaction(signal, &action, nullptr);
        target().store(-1);
    }

    /// Readable when a signal has come; each byte is a signal's number.
    int descriptor() const noexcept { return read_.get(); }

private:
    static std::atomic<int>& target() noexcept {
        static std::atomic<int> fd{-1};
        return fd;
    }
    static void caught(int signal) noexcept {
        const int saved = errno;
        const auto byte = static_cast<unsigned char>(signal);
        [[maybe_unused]] const auto written = ::write(target().load(), &byte, 1);
        errno = saved;
    }

    UniqueFd read_;
    UniqueFd write_;
    std::vector<std::pair<int, struct sigaction>> previous_;
};

/// Every signal is held back while it lives: around fork(2), so that none reaches the child with the parent's handlers.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept {
        sigset_t all;
        sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, &previous_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { ::sigprocmask(SIG_SETMASK, &previous_, nullptr); }

    /// Afterwards none is blocked, whatever was so before.
    void forget_previous() noexcept { sigemptyset(&previous_); }

private:
    sigset_t previous_{};
};

/// Every signal back to its default action, none blocked: what a new process expects.
inline void reset_signals() noexcept {
    struct sigaction normal {};
    normal.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &normal, nullptr);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

} // namespace cohort::detail
