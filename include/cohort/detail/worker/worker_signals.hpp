// SPDX-License-Identifier: MIT
// WorkerSignals: what signals that are meant for the service do in one of its workers (layer 4).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <atomic>
#include <csignal>

#include <sys/types.h>

namespace cohort::detail {

/// Whoever manages a service often signals all its processes alike: systemd(1) with KillMode=control-group, killall(1),
/// kill(1) with a process group. In a worker each signal therefore means what its master wants of it:
///
///   - SIGTERM, SIGINT, SIGQUIT: it is asked to leave, once; another one, unless the master has sent it, ends it at
///   once.
///   - SIGHUP, SIGUSR1, SIGUSR2: nothing, the master acts on them.
///   - SIGTTIN, SIGTTOU: ignored, also in what it executes. It is in the background of the master's terminal, and no
///     shell would resume it: it may write there, and reading is an error (EIO).
///
/// A signal for which the program has an action by then is left alone, and an action of its own replaces these.
class WorkerSignals {
public:
    /// In the worker; once more changes nothing.
    static void install() noexcept;
    /// Whether it was asked to leave.
    static bool is_asked() noexcept { return state().asked; }
    /// An eventfd(2) that becomes readable when it is, or was, asked to leave. Throws std::system_error.
    static UniqueFd open();

private:
    struct State {
        std::atomic<pid_t> worker{0}; // a child that it forks without executing a program has the handler, too
        std::atomic<pid_t> master{0};
        std::atomic<int> event{-1};
        std::atomic<bool> asked{false};
    };
    static State& state() noexcept {
        static State only;
        return only;
    }
    static void caught(int signal, siginfo_t* info, void* context) noexcept;
    static void ask() noexcept;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/worker/worker_signals.ipp>
#endif
