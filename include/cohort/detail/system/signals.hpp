// SPDX-License-Identifier: MIT
// SignalPipe: signals that can be read, and dispositions as a child wants them (layer 2).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <atomic>
#include <csignal>
#include <initializer_list>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace cohort::detail {

/// A signal, and who has sent it.
struct Signal {
    int number = 0;
    pid_t sender = 0;         ///< 0: the kernel, or a process of another PID namespace
    bool from_kernel = false; ///< as of a terminal's job control (sigaction(2), SI_KERNEL)
};

/// While it lives, the given signals can be read from descriptor(), also when whoever started the program had them
/// blocked. Caught signals, unlike blocked ones, are back to normal in every program that is started from here. In a
/// forked copy of this process they have their default actions. One at a time in a process.
class SignalPipe {
public:
    explicit SignalPipe(std::span<const int> signals);
    explicit SignalPipe(std::initializer_list<int> signals) : SignalPipe(std::span(signals.begin(), signals.size())) {}
    SignalPipe(const SignalPipe&) = delete;
    SignalPipe& operator=(const SignalPipe&) = delete;
    ~SignalPipe() {
        for (const auto& [signal, action] : previous_) ::sigaction(signal, &action, nullptr);
        ::sigprocmask(SIG_SETMASK, &previous_mask_, nullptr);
        target().store(-1);
    }

    /// Readable when a signal has come.
    int descriptor() const noexcept { return read_.get(); }
    /// The next one; empty when none has come. `descriptor`: as given, or a copy.
    static std::optional<Signal> next(int descriptor) noexcept;

private:
    static std::atomic<int>& target() noexcept {
        static std::atomic<int> fd{-1};
        return fd;
    }
    static std::atomic<pid_t>& process() noexcept {
        static std::atomic<pid_t> pid{0};
        return pid;
    }
    static void caught(int signal, siginfo_t* info, void* context) noexcept;

    UniqueFd read_;
    UniqueFd write_;
    std::vector<std::pair<int, struct sigaction>> previous_;
    sigset_t previous_mask_{};
};

/// The same for signals that must not be caught: with SIGTTOU blocked a process in the background may write to its
/// terminal also after `stty tostop` (termios(3)); with a handler it would be interrupted for ever. They stay blocked
/// in programs that are started from here. Another thread that has not blocked them gets them by the action they have.
class BlockedSignals {
public:
    explicit BlockedSignals(std::initializer_list<int> signals);
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;
    ~BlockedSignals();

    int descriptor() const noexcept { return fd_.get(); }
    static std::optional<Signal> next(int descriptor) noexcept;

private:
    UniqueFd fd_;
    std::vector<int> signals_;
    sigset_t previous_mask_{};
};

/// Every signal is held back while it lives: around fork(2), so that none reaches the child with the parent's handlers.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept;
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { ::sigprocmask(SIG_SETMASK, &previous_, nullptr); }

    /// Its destructor then unblocks all signals.
    void forget_previous() noexcept { sigemptyset(&previous_); }

private:
    sigset_t previous_{};
};

/// What a service is told by. Whoever manages one often signals all its processes alike.
inline constexpr int service_signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
/// Those that tell it to do something other than end.
inline constexpr int command_signals[] = {SIGHUP, SIGUSR1, SIGUSR2};

/// Holds signals back while it lives, and in a program that is executed meanwhile until that one releases them:
/// handlers are lost in execve(2), and what comes before the program has its own would end it.
class SignalsHeld {
public:
    explicit SignalsHeld(std::span<const int> signals) noexcept;
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;
    ~SignalsHeld() { ::sigprocmask(SIG_SETMASK, &previous_, nullptr); }

private:
    sigset_t previous_{};
};
/// In that program.
void release_signals(std::span<const int> signals) noexcept;

/// For a process that is to become a master while there is another, which acts on signals to all and passes them on:
/// the command signals that would end it do nothing until accept_commands(), or until somebody (run()) has set an
/// action.
void disregard_commands() noexcept;
void accept_commands() noexcept;

/// What a fault of the program's own raises.
bool is_crash_signal(int signal) noexcept;

/// `action`: SIG_DFL, as which one that is disregarded counts, or SIG_IGN.
bool has_action(int signal, void (*action)(int)) noexcept;

/// Every signal back to its default action, but for handlers of crashes: they report them, and are meant for every
/// process of the program, whether they are its own or those of the tool chain (AddressSanitizer).
void reset_signal_actions() noexcept;
/// And none blocked: what a new process expects. None arrives before `set_signals` has set others.
void reset_signals(void (*set_signals)() = nullptr) noexcept;

/// A broken connection is then an error (EPIPE) of that connection alone, and a file that has got as long as
/// RLIMIT_FSIZE allows one (EFBIG) of that file. Unlike SIG_IGN this is not inherited by what this process executes
/// (execve(2)): programs like `yes | head` rely on the default action.
void survive_failed_writes() noexcept;

/// In a handler: when it returns, the signal does what it does without one.
void take_default_action(int signal) noexcept;

/// Where SIGCHLD is ignored, as by a shell's `trap '' CHLD`, or SA_NOCLDWAIT is set, the kernel reaps children itself
/// and how they ended is lost (waitid(2), ECHILD). A program inherits that. A handler of the program's own stays.
void keep_exit_statuses() noexcept;

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/signals.ipp>
#endif
