// SPDX-License-Identifier: MIT
// Making a process and watching it: fork(2), pidfd_open(2), and what a child must do first (layer 2).
#pragma once

#include <cohort/detail/system/process_setup.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/exit_status.hpp>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sys/time.h>
#include <sys/wait.h>

namespace cohort::detail {

/// What fork_process() returns: in the parent, the child.
struct Process {
    pid_t pid = 0; ///< 0 in the child
    /// A pidfd. Where there are none (valgrind, a seccomp filter) a timer takes its place, which says every 20 ms that
    /// it is time to look; the functions below know which it is. They use the pid then, which nobody can have reused:
    /// it is a child of this process until it is reaped here.
    UniqueFd pidfd;
};

/// Threads of this process, from /proc/self/stat (proc(5), field 20).
unsigned thread_count();

void flush_standard_streams();

/// Ends a worker: buffered output is written, nothing that belongs to the parent's copy is destroyed.
[[noreturn]] void leave_process(int code);

/// What a child is made for.
enum class AfterFork {
    lives, ///< goes on in this program: only the one thread may be here, as others could have locked what it needs
    execs, ///< executes a program soon. Until then it allocates memory and sets its environment, which the C library's
           ///< fork(2) allows beside other threads; it runs nothing of the user's
};

/// fork(2). The child comes back with default signal actions, but for handlers of crashes and what `set_signals` has
/// set before any could arrive, and no signal blocked. Throws Errc::multithreaded, or what fork says (EAGAIN, ENOMEM).
Process fork_process(AfterFork then = AfterFork::lives, void (*set_signals)() = nullptr);

/// A process that need not be a child of this one. Throws what pidfd_open(2) says, as ESRCH.
Process find_process(pid_t pid);

bool has_ended(int pidfd) noexcept;

/// Reaps the process if it has ended. Only then can its pid be reused.
std::optional<ExitStatus> reap(int pidfd, bool wait = false) noexcept;

/// pidfd_send_signal(2): it cannot hit another process that got the same number. ESRCH: it has ended.
std::error_code send_signal(int pidfd, int signal) noexcept;

/// An epoll set, timer or event descriptor of the parent's io_context: shared with it, so useless and harmful here.
bool belongs_to_event_loop(int fd);
/// All that there are; none where there is no /proc.
std::vector<int> event_loop_descriptors();

/// In the child: closes, by number, what cohort owns in the parent and the parent's event loop, except `keep`. Nothing
/// of the parent's io_context is called: its epoll set is the same object in both processes.
void close_inherited(std::span<const int> keep);

/// Replaces this process by `program`, with `words` as its argv; the descriptors in `keep` stay open. Unless the
/// working folder was changed since the start, it becomes what the name of folder_at_start() leads to now. Returns only
/// on failure, with the error.
SetupError exec(const std::string& program, std::vector<std::string> words, std::span<const int> keep);

/// Executes `program` with `args`. If it is empty: the file now at this executable's path, or this executable itself if
/// that is gone, with this process's own arguments before `args`.
SetupError exec_program(const std::string& program, std::span<const std::string> args, std::span<const int> keep);

/// Executes a program that is named as in a shell: by its path, or by a name that is looked for in the folders of PATH
/// (execvp(3)). Descriptors are left as they are. Returns only on failure, with the error.
SetupError exec_by_name(const std::string& program, std::span<const std::string> args);

namespace parent_death {

pid_t& master() noexcept;
itimerval& last_minutes() noexcept;
/// About half a second later than `time`: the worker's own deadline comes first.
itimerval once_after(std::chrono::milliseconds time) noexcept;
/// SIGCONT may also just resume this process after a stop, so it acts only if the master is gone.
void begin_last_minutes(int) noexcept;

} // namespace parent_death

/// In the worker: when the master dies, however it dies, this process does not outlive it by more than `grace`, even if
/// its loop is stuck (prctl(2), PR_SET_PDEATHSIG; the end of the control link is what a healthy worker acts on). The
/// signal is SIGCONT, the only one beside SIGKILL that also reaches a stopped process. `master`: who must still be the
/// parent.
void die_with_parent(pid_t master, std::chrono::milliseconds grace);

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/system/fork.ipp>
#endif
