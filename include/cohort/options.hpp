// SPDX-License-Identifier: MIT
// What a program chooses about its cluster and its workers, as plain data (layer 1).
#pragma once

#include <cohort/endpoint.hpp>
#include <cohort/event.hpp>
#include <cohort/log_options.hpp>
#include <cohort/task.hpp>
#include <cohort/timeout.hpp>
#include <cohort/worker_options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cohort {

/// How a worker process is made.
enum class Spawn {
    fork, ///< fork(2) alone: fast, memory is shared copy-on-write. The master has no other thread (Errc::multithreaded)
    exec, ///< fork(2) and execve(2): the program, or another one, starts anew. The master may have threads
};

/// When the worker of a slot gets a successor (the names are OTP's, supervisor(3)).
enum class Restart {
    permanent, ///< always, unless it was asked to leave
    transient, ///< when it crashed: a signal, or a code other than 0
    temporary, ///< never
};

/// How soon the worker of a slot gets a successor, and when the slot is given up instead.
struct Backoff {
    using milliseconds = std::chrono::milliseconds;

    milliseconds stable{1'000};   ///< a worker that lived this long resets the count of short lives
    unsigned at_once = 3;         ///< how many short lives in a row get a successor at once
    milliseconds first{100};      ///< wait after each further one
    milliseconds longest{15'000}; ///< each further failed start (it never listened) doubles the wait, up to this
    double jitter = 0.25; ///< up to this share is taken off a wait at random, so that slots do not come back together
    unsigned failed_starts = 16; ///< failed starts in a row after which the slot is given up
    unsigned restarts = 0; ///< restarts allowed in `period`; at one more it is given up (supervisor(3)); 0: no limit
    milliseconds period{5'000};
};

/// Which workers a crash concerns (supervisor(3)).
enum class Strategy {
    one_for_one, ///< the one that crashed
    one_for_all, ///< all: those that are left are asked to leave, and when they have gone every slot starts again, in
                 ///< order. That is one restart, of the slot that crashed; when that is given up, all are
};

/// When a worker can take its predecessor's place.
enum class Readiness {
    automatic, ///< it shares as many endpoints as its predecessor does; none: its body runs
    announced, ///< it says so: Worker::ready()
};

/// The number of workers follows the load.
struct Autoscale {
    unsigned least = 1;
    unsigned most = 0; ///< 0: as many as Options::workers stands for
    /// The load meant for one worker; when the average exceeds it, a worker is added.
    double load_per_worker = 100;
    /// A worker is removed only if the remaining ones keep this share of it free.
    double headroom = 0.2;
    /// How often to look.
    std::chrono::milliseconds interval{1'000};
    unsigned up_after = 2;    ///< looks in a row that must agree before one is added
    unsigned down_after = 30; ///< or removed
    /// The load of all workers together; empty: their open connections and those in the kernel's queues.
    std::function<double()> load{};
};

/// Called at steps in the life of a worker. Worker::at_exit is the one at its end in its own process.
struct Hooks {
    /// In the master, before a process is made for this slot. An exception makes the start fail: std::system_error as
    /// it is, any other as Errc::setup_failed with its text.
    std::function<void(unsigned slot)> before_fork{};
    /// In the new process, before its body. When it throws, the process ends with code 1 and a line on standard error.
    std::function<void(WorkerId worker, unsigned slot)> in_worker{};
    /// In the master, with the exited event. What it throws is written to standard error.
    std::function<void(const Event&)> on_exit{};
};

/// How a worker whose event loop is stuck is found and ended. The loop gives a heartbeat every `interval`. Time in
/// which the master itself does not run does not count. A worker that is being debugged, or whose master is, is not
/// ended (ptrace(2)); that is said once on standard error.
struct Liveness {
    using milliseconds = std::chrono::milliseconds;

    milliseconds interval{1'000};   ///< 0: no heartbeat, and no checks
    milliseconds slow_after{5'000}; ///< no beat for this long: WorkerInfo::slow, and a line on standard error
    milliseconds timeout{30'000};   ///< no beat for this long: SIGABRT; it writes what it was doing to standard error
    milliseconds kill_after{1'000}; ///< if it has not ended by then: SIGKILL
};

/// When a worker is replaced although nothing is wrong with it. Its successor is started first; when that is ready, the
/// worker is asked to leave. One at a time.
struct Recycle {
    std::uint64_t requests = 0;       ///< requests begun (http::serve, Worker::begin_request); 0: no limit
    std::chrono::milliseconds age{0}; ///< time since it became ready; 0: no limit
    std::uint64_t memory = 0;         ///< bytes of resident memory (proc(5), statm); 0: no limit
    double jitter = 0.1; ///< up to this share is taken off `requests` and `age` at random, so that workers take turns
    std::chrono::milliseconds interval{1'000}; ///< how often it is checked
};

/// A health check of each ready worker, run by the master. A worker that fails is replaced as in Recycle.
struct Probe {
    /// Whether the worker is healthy; an exception means no, and its text is said. Cancelled after `timeout`.
    std::function<Task<bool>(WorkerInfo)> check{};
    std::chrono::milliseconds interval{10'000}; ///< from one to the next
    std::chrono::milliseconds timeout{5'000};   ///< longer than this is a failure
    unsigned failures = 3;                      ///< failures in a row that make a worker unhealthy
};

/// In which order a worker is replaced.
enum class ReloadOrder {
    start_first, ///< its successor is ready before it is asked to leave: nothing waits, and one that fails changes
                 ///< nothing
    stop_first,  ///< it has ended before its successor starts: for programs of which two at a time are one too many
};

/// A reload begins with some slots, whose successors prove themselves before the others get theirs.
struct Canary {
    /// How many slots; 0: none. During the trial their old workers serve beside the new ones.
    unsigned workers = 0;
    /// How long the trial lasts. If a new worker ends meanwhile, or is found unhealthy, all new ones leave and the old
    /// ones stay (Errc::canary_failed).
    std::chrono::milliseconds soak{10'000};
    /// Called every `interval`, and at the end: whether the new workers do well; an exception means no.
    std::function<bool()> healthy{};
    std::chrono::milliseconds interval{1'000};
};

/// Whether, and for whom, a master can be seen and steered from outside: cohort/control.hpp. Workers do not inherit it;
/// but one of the same user may connect as that user may, so workers that are not to be trusted have another one
/// (WorkerOptions::uid).
struct ControlOptions {
    /// The path of a Unix socket; empty: there is none. Its folder is made when it is missing, for this user alone; one
    /// in which others may make files is refused, unless its sticky bit is set.
    std::string path{};
    /// Who may use it beside root and the user of this process: then the socket's file is open to all (mode 0666), and
    /// the kernel says who connects (SO_PEERCRED, unix(7)).
    std::vector<uid_t> users{};
    /// How many connections it has at a time. One more takes the place of the one that has asked for nothing for the
    /// longest time.
    std::size_t clients = 16;
    /// How long a connection may take to ask for something.
    std::chrono::milliseconds silence{5'000};
};

/// The cluster. Every member has a default that suits a server.
struct Options {
    /// How many slots run() fills; 0: one for each CPU that this process may use (sched_getaffinity(2)), or has the
    /// time of (cgroups(7), cpu.max), rounded up.
    unsigned workers = 0;
    /// Opened before the first worker exists, so that an endpoint in use, or not permitted, is an error at the start.
    std::vector<Endpoint> listen{};
    /// What a worker with fewer rights than the master (another user, fewer capabilities) may ask it for beside
    /// `listen`: Worker::listen and Worker::bind of anything else fail there with EACCES, since it is the master who
    /// opens ports, files of sockets and inherited descriptors. What a worker opens by itself (`exclusive`) is between
    /// it and the system. A worker with the master's rights may ask for anything.
    std::vector<Endpoint> may_listen{};
    Spawn spawn = Spawn::fork;
    Restart restart = Restart::permanent;
    Backoff backoff{};
    Strategy strategy = Strategy::one_for_one;
    Readiness readiness = Readiness::automatic;
    /// How long a new worker may take to become ready; then it is killed, as a failed start (Backoff::failed_starts),
    /// and a reload that waits for it has failed.
    std::chrono::milliseconds boot_timeout{60'000};
    Liveness liveness{};
    Recycle recycle{};
    Probe probe{};
    /// Also where single workers are replaced (Recycle, Probe, control::Client::restart). With stop_first one leaves
    /// after the other, and a slot whose new worker does not become ready has none until one does (Backoff).
    ReloadOrder reload_order = ReloadOrder::start_first;
    /// How many slots a reload replaces at a time.
    unsigned reload_at_once = 1;
    Canary canary{};
    /// How many workers of one slot may be leaving at a time, as when reloads follow each other while requests are
    /// long; beyond that the oldest are killed before their grace is over.
    unsigned draining_per_slot = 8;
    /// How long a worker may take to finish when it is asked to leave; then it is killed.
    std::chrono::milliseconds grace{30'000};
    /// Length of the kernel's queue of each listener; the kernel cuts it to net.core.somaxconn.
    int backlog = 4096;
    /// How many connections of one endpoint may be on their way to one worker without having been taken by it.
    unsigned credit = 16;
    /// How many connections one worker may have at a time, the ones on their way to it included. The others go to
    /// workers that have fewer, or wait in the kernel's queue. Worker::limit_connections sets it for one worker.
    std::uint32_t connections_per_worker = std::numeric_limits<std::uint32_t>::max();
    /// A worker that has not accepted for so long, although connections wait for it, is stuck: they go to others.
    std::chrono::milliseconds stuck_after{1'000};
    /// Largest message, in bytes, that is accepted from the other side.
    std::size_t max_message = std::size_t{16} << 20;
    /// How many calls of Master::call(request) one worker has at a time; the others wait in the master.
    unsigned calls_per_worker = 64;
    /// How many may wait; one more gets Errc::queue_full.
    std::size_t queued_calls = 10'000;
    /// Empty: as many workers as were started, or as Master::scale says.
    std::optional<Autoscale> autoscale{};
    /// Whether run() reaps the ended children of this process that are no workers, as process 1 has to. A master that
    /// waits for children of its own must not. Empty: when it is process 1, or a subreaper (prctl(2)).
    std::optional<bool> reap_strangers{};
    Hooks hooks{};
    ControlOptions control{};
    /// Empty: what workers write goes where the master's standard streams go.
    std::optional<LogOptions> logs{};
    /// What cohort itself says of what happens, in this process; of two masters in it the last one that was made, or
    /// set, decides. A worker has the level that its master has when it starts; one that is a program of its own
    /// (Spawn::exec) that of its options; the process that writes the log, that of the start.
    LogLevel log_level = LogLevel::info;
    /// The path of a file with the number of the master's process, for scripts; empty: there is none. The master has it
    /// locked (flock(2)) for as long as it lives, so that a second one is refused, with EBUSY and a sentence that names
    /// the first; what a dead one has left is taken. At an upgrade it goes to the new master without a gap; whoever has
    /// it at the end removes it.
    std::string pid_file{};
    /// Has the service manager keep the listening sockets of `listen` that are TCP: sd_notify(3), FDSTORE=1; in the
    /// unit FileDescriptorStoreMax=, one for each endpoint, with SharedSocket one for each slot of each; what there is
    /// no room for is not kept. Then they outlive this process: connections that come between its end, however it ends,
    /// and the next start of the service wait, and none is refused. `systemctl restart` and Restart= are such starts;
    /// after `systemctl stop`, or when it starts no more, systemd closes what it has kept. What the next start does not
    /// have in its `listen` is closed by it, what a worker has set of a socket (socket(7)) stays, and SharedSocket goes
    /// on with all slots that there were. For the first master of a process; without such a manager it does nothing.
    bool fd_store = false;
    /// What ps(1) and top(1) call the processes: "cohort: master TITLE", "cohort: worker 3 TITLE", and whether a worker
    /// is leaving; empty: what they are called anyway. Without CAP_SYS_RESOURCE it is written over the arguments of
    /// main(), as far as there is room, and over what a program still keeps of them.
    std::string title{};
    /// Attributes of the workers that run() starts, and the default of Master::spawn.
    WorkerOptions worker{};
};

/// All of it as text, a line for each member: "backoff.first: 100 ms". Functions are told as set or not, and of the
/// environment of workers only the names.
std::string describe(const Options& options);

/// What may change while the cluster runs (Master::set). Empty: stays as it is.
struct Settings {
    std::optional<unsigned> workers{}; ///< as Master::scale
    std::optional<std::chrono::milliseconds> grace{};
    std::optional<std::chrono::milliseconds> boot_timeout{};
    std::optional<unsigned> reload_at_once{};
    /// Also of the workers that are there, instead of what they have set themselves.
    std::optional<std::uint32_t> connections_per_worker{};
    std::optional<unsigned> calls_per_worker{};
    std::optional<std::size_t> queued_calls{};
    /// Of all slots from their next end on.
    std::optional<Backoff> backoff{};
    /// Of the workers that are there, too.
    std::optional<Recycle> recycle{};
    std::optional<LogLevel> log_level{};
};

/// One call to whichever worker has the fewest.
struct CallOptions {
    /// From the call to its reply, with all waiting.
    Timeout timeout{};
    /// Doing it twice does no harm: when its worker dies, another one is asked, up to `attempts` in all.
    bool idempotent = false;
    unsigned attempts = 3;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/options.ipp>
#endif
