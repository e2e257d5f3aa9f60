// SPDX-License-Identifier: MIT
// The bodies of worker_signals.hpp (layer 4).
#pragma once

#include <cohort/detail/worker/worker_signals.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/system.hpp>

#include <cerrno>
#include <cstdint>

#include <sys/eventfd.h>
#include <unistd.h>

namespace cohort::detail {

COHORT_DECL void WorkerSignals::install() noexcept {
    state().worker = ::getpid();
    state().master = ::getppid();
    struct sigaction action {};
    action.sa_sigaction = &WorkerSignals::caught;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigfillset(&action.sa_mask);
    for (const int signal : service_signals)
        if (has_action(signal, SIG_DFL)) ::sigaction(signal, &action, nullptr);
    for (const int signal : {SIGTTIN, SIGTTOU})
        if (has_action(signal, SIG_DFL)) ::signal(signal, SIG_IGN);
}

COHORT_DECL UniqueFd WorkerSignals::open() {
    UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) throw_last_error("eventfd");
    state().event = event.get();
    if (is_asked()) ask();
    return event;
}

COHORT_DECL void WorkerSignals::ask() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(state().event, &one, sizeof one);
}

COHORT_DECL void WorkerSignals::caught(int signal, siginfo_t* info, void*) noexcept {
    const int saved = errno;
    const bool ends = signal == SIGTERM || signal == SIGINT || signal == SIGQUIT;
    const bool is_a_copy = ::getpid() != state().worker;
    const bool is_again = ends && info->si_pid != state().master && state().asked.exchange(true);
    if (is_a_copy || is_again) return take_default_action(signal);
    if (ends) {
        state().asked = true;
        ask();
    }
    errno = saved;
}

} // namespace cohort::detail
