// SPDX-License-Identifier: MIT
// The bodies of launch.hpp (layer 4).
#pragma once

#include <cohort/detail/process/launch.hpp>

#include <cohort/detail/control/shared_page.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/control/control_message.hpp>
#include <cohort/detail/exception_text.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/slot_cgroup.hpp>
#include <cohort/detail/worker/worker_signals.hpp>

#include <string>

#include <fcntl.h>
#include <sys/prctl.h>

namespace cohort::detail {

COHORT_DECL void report_failure(const Identity& identity, SetupError error) {
    Buffer bytes;
    encode_message(SetupFailed{error.system_error, error.step}, bytes);
    send_datagram(identity.control, bytes.bytes(), {});
    leave_process(127);
}

COHORT_DECL void become_worker(Identity identity, const WorkerSpec& assignment, const Options& options,
                               SharedPage& page, const std::string& cgroup) {
    try {
        if (options.spawn == Spawn::fork) page.become_worker(identity.cell);
        identity.page = page.descriptor();
        identity.part = page.descriptor(identity.cell);
        std::vector<int*> own{&identity.control, &identity.channel, &identity.page, &identity.part};
        const auto misplaced = place_descriptors(assignment.options.descriptors, own, identity.inherited);
        std::vector<int> kept = identity.descriptors();
        for (const auto& [number, source] : assignment.options.descriptors) kept.push_back(number);
        close_inherited(kept);
        if (misplaced) report_failure(identity, *misplaced);
        for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name); // the master's own
        const auto kept_out = cgroup.empty() ? std::nullopt : enter_cgroup(cgroup);
        if (kept_out) report_failure(identity, *kept_out);
        const int dumpable = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
        if (const auto error = prepare_process(assignment.options, identity.slot)) report_failure(identity, *error);
        if (options.spawn == Spawn::fork) {
            // A process that changes its user would leave no core file any more. A program that is started anew is what
            // it is to be; until then nobody of that user is to see the master's memory.
            if (assignment.options.dumpable && dumpable == 1) ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
            run_as_worker(page, identity, options, assignment.make);
        }
        ::setenv(identity_variable, to_string(identity).c_str(), 1);
        const auto& program = assignment.options;
        const SignalsHeld held(service_signals);
        if (WorkerSignals::is_asked()) ::raise(SIGTERM); // the program does not know
        report_failure(identity, exec_program(program.program, program.args, identity.descriptors()));
    } catch (...) {
        log_line(LogLevel::error, "worker " + std::to_string(identity.id) + ": " + exception_text());
    }
    leave_process(127);
}

COHORT_DECL void become_program(Identity identity, WorkerOptions options, const std::string& cgroup) {
    try {
        int number = STDERR_FILENO;
        for (const int listener : identity.inherited) {
            if (options.descriptors.contains(++number)) report_failure(identity, {EBUSY, "descriptors"});
            options.descriptors[number] = listener;
        }
        const auto misplaced = place_descriptors(options.descriptors, std::vector{&identity.control}, {});
        std::vector<int> kept{identity.control};
        for (const auto& [each, source] : options.descriptors) kept.push_back(each);
        close_inherited(kept);
        if (misplaced) report_failure(identity, *misplaced);
        const auto kept_out = cgroup.empty() ? std::nullopt : enter_cgroup(cgroup);
        if (kept_out) report_failure(identity, *kept_out);
        for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name); // the master's own
        if (const auto error = prepare_process(options, identity.slot)) report_failure(identity, *error);
        ::setenv("COHORT_SLOT", std::to_string(identity.slot).c_str(), 1);
        // As systemd's are: a program that wants something else says so.
        for (int listener = STDERR_FILENO + 1; listener <= number; ++listener)
            ::fcntl(listener, F_SETFL, ::fcntl(listener, F_GETFL) & ~O_NONBLOCK);
        if (!identity.inherited.empty()) {
            ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
            ::setenv("LISTEN_FDS", std::to_string(identity.inherited.size()).c_str(), 1);
        }
        if (!options.outlives_master) ::prctl(PR_SET_PDEATHSIG, options.stop_signal.value_or(SIGTERM));
        if (!options.outlives_master && ::getppid() != identity.master) leave_process(1);
        report_failure(identity, exec_by_name(options.program, options.args));
    } catch (...) {
        log_line(LogLevel::error, "worker " + std::to_string(identity.id) + ": " + exception_text());
    }
    leave_process(127);
}

COHORT_DECL Launched launch(Identity identity, const WorkerSpec& assignment, const Options& options, SharedPage& page) {
    const auto& limits = assignment.options.cgroup;
    const std::string cgroup = limits ? make_slot_cgroup(identity.slot, *limits) : "";
    auto [control, its_control] = make_socketpair(SOCK_SEQPACKET);
    auto [channel, its_channel] = make_socketpair(SOCK_STREAM);
    if (assignment.running != 0) return {find_process(assignment.running), std::move(control), std::move(channel)};
    const bool is_program = assignment.is_program();
    const AfterFork then = is_program || options.spawn == Spawn::exec ? AfterFork::execs : AfterFork::lives;
    Process process = fork_process(then, is_program ? nullptr : &WorkerSignals::install);
    if (process.pid != 0) return {std::move(process), std::move(control), std::move(channel)};
    identity.control = its_control.release();
    if (is_program) become_program(std::move(identity), assignment.options, cgroup);
    identity.channel = its_channel.release();
    become_worker(std::move(identity), assignment, options, page, cgroup);
}

} // namespace cohort::detail
