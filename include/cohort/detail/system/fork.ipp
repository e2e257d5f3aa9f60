// SPDX-License-Identifier: MIT
// The bodies of fork.hpp (layer 2).
#pragma once

#include <cohort/detail/system/fork.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/forked_copy.hpp>
#include <cohort/detail/system/process_start.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/error.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

namespace cohort::detail {

COHORT_DECL unsigned thread_count() {
    std::ifstream file("/proc/self/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    std::size_t at = text.rfind(')'); // the name in field 2 may contain anything, also blanks
    for (int field = 2; at != text.npos && field < 20; ++field) at = text.find(' ', at + 1);
    return at == text.npos ? 1 : static_cast<unsigned>(std::strtoul(text.c_str() + at, nullptr, 10));
}

COHORT_DECL void flush_standard_streams() {
    std::cout.flush();
    std::clog.flush();
    std::fflush(nullptr);
}

COHORT_DECL void leave_process(int code) {
    flush_standard_streams();
    ::_exit(code);
}

/// The pids of children that have no pidfd, by the timer that stands for it; 0: reaped.
COHORT_DECL std::map<int, pid_t>& timed_children() noexcept {
    static std::map<int, pid_t> children;
    return children;
}

/// Empty: the descriptor is a pidfd.
COHORT_DECL std::optional<pid_t> timed_child(int fd) noexcept {
    if (timed_children().empty()) return std::nullopt;
    const auto found = timed_children().find(fd);
    return found == timed_children().end() ? std::nullopt : std::optional(found->second);
}

/// Not SIGCHLD, which is the program's; not the end of a pipe, which the child's own children would hold.
COHORT_DECL UniqueFd watch_by_time(pid_t child) {
    UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    itimerspec every{};
    every.it_value.tv_nsec = every.it_interval.tv_nsec = 20'000'000;
    if (!timer || ::timerfd_settime(timer.get(), 0, &every, nullptr) != 0) return {};
    timed_children()[timer.get()] = child;
    return timer;
}

COHORT_DECL UniqueFd watch_process(pid_t child) {
    UniqueFd pidfd(System::current().pidfd_open(child));
    if (pidfd) timed_children().erase(pidfd.get()); // of a timer that was closed
    const bool is_refused = !pidfd && (errno == ENOSYS || errno == EPERM || errno == EACCES || errno == EINVAL);
    return is_refused ? watch_by_time(child) : std::move(pidfd);
}

COHORT_DECL Process fork_process(AfterFork then, void (*set_signals)()) {
    if (then == AfterFork::lives && thread_count() > 1)
        throw std::system_error(make_error_code(Errc::multithreaded),
                                "start threads in the worker's body, or use Spawn::exec");
    flush_standard_streams(); // else both processes would write what is buffered
    SignalsBlocked blocked;
    Process process;
    forks_itself = true;
    process.pid = System::current().fork();
    const int failure = errno;
    forks_itself = false;
    if (process.pid < 0) throw std::system_error(failure, std::system_category(), "fork");
    if (process.pid == 0) {
        reset_signal_actions();
        if (set_signals != nullptr) set_signals();
        blocked.forget_previous();
        return process;
    }
    process.pidfd = watch_process(process.pid);
    if (process.pidfd) return process;
    const int error = errno;
    ::kill(process.pid, SIGKILL); // not reaped yet, so the number still means this child
    ::waitpid(process.pid, nullptr, 0);
    throw std::system_error(error, std::system_category(), "pidfd_open");
}

COHORT_DECL Process find_process(pid_t pid) {
    Process process;
    process.pid = pid;
    process.pidfd = UniqueFd(System::current().pidfd_open(pid));
    if (!process.pidfd) throw_last_error("pidfd_open");
    timed_children().erase(process.pidfd.get()); // of a timer that was closed
    return process;
}

/// Whether the status of a child without a pidfd can be had; also when somebody else took it.
COHORT_DECL bool has_ended(pid_t child, siginfo_t& info, int options) noexcept {
    int result = 0;
    do {
        result = child == 0 ? -1 : ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | options);
    } while (result != 0 && child != 0 && errno == EINTR);
    return result != 0 || info.si_pid != 0;
}

COHORT_DECL std::optional<ExitStatus> reap_timed(int timer, pid_t child, bool wait) noexcept {
    std::uint64_t expirations = 0;
    [[maybe_unused]] const auto read = ::read(timer, &expirations, sizeof expirations);
    siginfo_t info{};
    if (!has_ended(child, info, wait ? 0 : WNOHANG)) return std::nullopt;
    timed_children()[timer] = 0;
    return info.si_pid == 0 ? ExitStatus::unknown() : ExitStatus::from_wait(info.si_code, info.si_status);
}

COHORT_DECL bool has_ended(int pidfd) noexcept {
    siginfo_t info{};
    if (const auto child = timed_child(pidfd)) return has_ended(*child, info, WNOHANG | WNOWAIT);
    pollfd end{pidfd, POLLIN, 0};
    return ::poll(&end, 1, 0) == 1;
}

COHORT_DECL std::optional<ExitStatus> reap(int pidfd, bool wait) noexcept {
    if (const auto child = timed_child(pidfd)) return reap_timed(pidfd, *child, wait);
    siginfo_t info{};
    int result = 0;
    int ended = 0;
    do {
        // A descriptor that an event loop watches is non-blocking, and waitid(2) then does not wait either.
        pollfd end{pidfd, POLLIN, 0};
        if (wait) ended = ::poll(&end, 1, -1);
        result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
    } while ((result != 0 && errno == EINTR) || (wait && ended != 1 && result == 0 && info.si_pid == 0));
    if (wait && result == 0 && info.si_pid == 0) return ExitStatus::unknown(); // it has ended, and is traced: ptrace(2)
    // Whoever else waits for all children, or has the kernel reap them, took the status; the end is still to be seen.
    if (result != 0 && errno == ECHILD && has_ended(pidfd)) return ExitStatus::unknown();
    if (result != 0 || info.si_pid == 0) return std::nullopt;
    return ExitStatus::from_wait(info.si_code, info.si_status);
}

COHORT_DECL std::error_code send_signal(int pidfd, int signal) noexcept {
    if (const auto child = timed_child(pidfd)) {
        if (has_ended(pidfd)) return {ESRCH, std::system_category()}; // its number may be another's if it was reaped
        return ::kill(*child, signal) == 0 ? std::error_code{} : last_error();
    }
    return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0 ? std::error_code{} : last_error();
}

COHORT_DECL bool belongs_to_event_loop(int fd) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error).native();
    if (error || (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) return false;
    return target == "anon_inode:[eventpoll]" || target == "anon_inode:[timerfd]" || target == "anon_inode:[eventfd]";
}

COHORT_DECL std::vector<int> event_loop_descriptors() {
    std::vector<int> descriptors;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
        const int fd = std::atoi(entry.path().filename().c_str());
        if (belongs_to_event_loop(fd)) descriptors.push_back(fd);
    }
    return descriptors;
}

COHORT_DECL void close_inherited(std::span<const int> keep) {
    const auto kept = [keep](int fd) { return std::find(keep.begin(), keep.end(), fd) != keep.end(); };
    std::vector<int> unwanted = OwnedDescriptors::all();
    const std::vector<int> of_loops = event_loop_descriptors();
    unwanted.insert(unwanted.end(), of_loops.begin(), of_loops.end());
    for (const int fd : unwanted) {
        if (kept(fd)) continue;
        OwnedDescriptors::remove(fd);
        ::close(fd);
    }
}

COHORT_DECL SetupError exec(const std::string& program, std::vector<std::string> words, std::span<const int> keep) {
    follow_folder();
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    for (const int fd : keep) ::fcntl(fd, F_SETFD, 0);
    ::execv(program.c_str(), argv.data());
    return {errno, "exec"};
}

COHORT_DECL SetupError exec_program(const std::string& program, std::span<const std::string> args,
                                    std::span<const int> keep) {
    std::vector<std::string> words = program.empty() ? own_arguments() : std::vector{program};
    if (words.empty()) return {ENOTSUP, "own arguments, without /proc"};
    words.insert(words.end(), args.begin(), args.end());
    if (!program.empty()) return exec(program, std::move(words), keep);
    const SetupError error = exec(own_program(), words, keep);
    return error.system_error == ENOENT ? exec("/proc/self/exe", std::move(words), keep) : error;
}

COHORT_DECL SetupError exec_by_name(const std::string& program, std::span<const std::string> args) {
    std::vector<char*> argv{const_cast<char*>(program.c_str())};
    for (const std::string& word : args) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(program.c_str(), argv.data());
    return {errno, "exec"};
}

} // namespace cohort::detail

namespace cohort::detail::parent_death {

COHORT_DECL pid_t& master() noexcept {
    static pid_t pid = 0;
    return pid;
}

COHORT_DECL itimerval& last_minutes() noexcept {
    static itimerval time{};
    return time;
}

COHORT_DECL itimerval once_after(std::chrono::milliseconds time) noexcept {
    time = std::max(time, std::chrono::milliseconds(0));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    const auto tenths = (time - seconds).count() / 100 + 5;
    itimerval once{};
    once.it_value.tv_sec = seconds.count() + tenths / 10;
    once.it_value.tv_usec = tenths % 10 * 100'000;
    return once;
}

COHORT_DECL void begin_last_minutes(int) noexcept {
    if (::getppid() != master()) ::setitimer(ITIMER_REAL, &last_minutes(), nullptr);
}

} // namespace cohort::detail::parent_death

namespace cohort::detail {

COHORT_DECL void die_with_parent(pid_t master, std::chrono::milliseconds grace) {
    parent_death::master() = master;
    parent_death::last_minutes() = parent_death::once_after(grace);
    struct sigaction action {};
    action.sa_handler = &parent_death::begin_last_minutes;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGCONT, &action, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGCONT);
    if (::getppid() != master) leave_process(1);
}

} // namespace cohort::detail
