// SPDX-License-Identifier: MIT
// What a worker process is made with, as plain data (layer 1).
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cohort {

/// On which of its CPUs a worker runs.
enum class Pinning {
    none,    ///< on all
    by_slot, ///< on one: number `slot` modulo their count
};

/// A limit of getrlimit(2), in its unit.
struct ResourceLimit {
    static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

    std::uint64_t soft = unlimited;
    std::uint64_t hard = unlimited;
};

/// What the kernel lets all processes of one slot have together: cgroups(7), version 2. The master makes a group for
/// each slot beneath its own, which must have been delegated to it (systemd.unit(5), Delegate=yes); where the system
/// refuses that, or has no such controller, a worker cannot be started, and the error says which.
struct CgroupLimits {
    std::optional<std::uint64_t> memory{};    ///< bytes (memory.max); what exceeds them is killed
    std::optional<double> cpus{};             ///< CPUs' worth of time, as 0.5 or 2 (cpu.max)
    std::optional<unsigned> cpu_weight{};     ///< 1 to 10000, beside the other slots' 100 (cpu.weight)
    std::optional<std::uint64_t> processes{}; ///< and threads (pids.max)
};

/// The process attributes of a worker. One that the system refuses ends the new process: see Event::error.
struct WorkerOptions {
    /// Added to the environment, replacing what has the same name.
    std::map<std::string, std::string> env{};
    /// What of the master's environment it gets, by name; with `*` at the end all names that begin so. Empty: all of
    /// it. PATH is no exception.
    std::optional<std::vector<std::string>> keep_env{};
    /// What Worker::args() gives; with Spawn::exec also the arguments of the program.
    std::vector<std::string> args{};
    /// The working directory; empty: the master's, or with `root` that.
    std::string cwd{};
    /// What it sees as "/" (chroot(2)); empty: the master's. It takes a privilege to set this, and a worker that keeps
    /// that, as root does, can leave. With Spawn::exec the program and what it is linked to are looked for there.
    std::string root{};
    /// Descriptors by their number in the worker: {{STDOUT_FILENO, log.get()}, {4, pipe.get()}}; -1: /dev/null. The
    /// sources must stay open in the master for as long as workers are started. Other descriptors that the program has
    /// opened itself, and standard streams not named here, are inherited as by any child.
    std::map<int, int> descriptors{};
    /// CPUs that it may use (sched_setaffinity(2)); empty: the master's.
    std::vector<unsigned> cpus{};
    Pinning pinning = Pinning::none;
    /// -20, highest priority, to 19 (setpriority(2)); empty: the master's.
    std::optional<int> nice{};
    /// Of its slot's processes together, those that it starts included.
    std::optional<CgroupLimits> cgroup{};
    /// By resource: {{RLIMIT_NOFILE, {1024, 4096}}} (setrlimit(2)).
    std::map<int, ResourceLimit> limits{};
    std::optional<mode_t> umask{};
    /// Nothing that it executes gets more rights than it has (prctl(2), PR_SET_NO_NEW_PRIVS).
    bool no_new_privileges = false;
    /// False: it leaves no core file, and only root sees its memory and environment (prctl(2), PR_SET_DUMPABLE).
    bool dumpable = true;
    /// Set permanently before the body runs; supplementary groups are dropped.
    std::optional<uid_t> uid{};
    std::optional<gid_t> gid{};
    /// Spawn::exec: the program to run; empty: the file at this program's path by then, so a reload picks up a new
    /// version. A script may stand before it that executes it in its own place; until then SIGTERM and the other
    /// signals that mean something to a worker are held back, from what else the script starts, too.
    /// Of Master::spawn_program: any program.
    std::string program{};
    /// Of Master::spawn_program: it goes on when its master dies, or is destroyed. Otherwise it gets `stop_signal`
    /// then.
    bool outlives_master = false;
    /// A worker that has lived for so long is asked to leave, without a successor.
    std::optional<std::chrono::milliseconds> lifetime{};
    /// A signal to send when it is asked to leave, besides the message: for a body, or a program, that waits for one.
    /// Empty: none; of Master::spawn_program SIGTERM.
    std::optional<int> stop_signal{};
    /// When it ends, whatever is left in its process group is killed.
    bool kill_group = false;
};

} // namespace cohort
