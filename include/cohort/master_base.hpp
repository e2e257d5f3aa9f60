// SPDX-License-Identifier: MIT
// MasterBase: the part of a master that does not depend on its messages and its mode (layer 4).
#pragma once

#include <cohort/counter.hpp>
#include <cohort/detail/access.hpp>
#include <cohort/detail/channel/bus_client.hpp>
#include <cohort/detail/channel/greeting.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/process/mailbox.hpp>
#include <cohort/detail/supervise/call_lease.hpp>
#include <cohort/detail/worker/worker_spec.hpp>
#include <cohort/event.hpp>
#include <cohort/mail.hpp>
#include <cohort/mode.hpp>
#include <cohort/options.hpp>
#include <cohort/reload.hpp>
#include <cohort/stats.hpp>
#include <cohort/subscription.hpp>
#include <cohort/task.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace cohort {

namespace detail {

class Supervisor;

} // namespace detail

/// For people who come from Node: which of the two this process is.
bool is_worker() noexcept;
bool is_master() noexcept;

/// The process that supervises; the part of Master that is compiled once. Functions that take a MasterBase& work with
/// every Master. In another process, as in a forked worker that can still see the object, what would change something
/// or send throws EPERM.
///
/// It speaks for the service, if the environment has NOTIFY_SOCKET when the first one of a process is made, and takes
/// that out of it: sd_notify(3). READY=1 means that the first workers are ready (Options::readiness), and that whoever
/// connects to one of Options::listen waits for them at most.
class MasterBase {
public:
    MasterBase(const MasterBase&) = delete;
    MasterBase& operator=(const MasterBase&) = delete;

    /// The workers' events, in order, each once; nothing when the last worker has ended and none will follow. Up to
    /// 4096 unread events are kept; beyond that the oldest are dropped.
    [[nodiscard]] Task<std::optional<Event>> next_event();

    /// Everything that workers and master publish on this topic from now on, as values of a T; it ends when the last
    /// worker has ended and none will follow.
    template <class T>
    [[nodiscard]] Task<Subscription<T>> subscribe(std::string topic, SlowSubscriber slow = {}) {
        return detail::subscribe<T>(connect_bus(), std::move(topic), slow, limits());
    }
    /// To everybody who has subscribed to this topic. See Worker::publish.
    template <class T>
    [[nodiscard]] Task<> publish(std::string topic, const T& value) {
        return publish_encoded(detail::to_published(std::move(topic), value, limits()));
    }
    template <class T>
        requires(!std::is_lvalue_reference_v<T> && detail::unsafe_temporary<T>)
    Task<> publish(std::string, T&&) {
        return detail::refuse_temporary<T>();
    }
    /// See Worker::publish_lossless.
    template <class T>
    [[nodiscard]] Task<> publish_lossless(std::string topic, const T& value) {
        return publish_encoded(detail::to_published(std::move(topic), value, limits(), true));
    }
    template <class T>
        requires(!std::is_lvalue_reference_v<T> && detail::unsafe_temporary<T>)
    Task<> publish_lossless(std::string, T&&) {
        return detail::refuse_temporary<T>();
    }

    /// Starts a worker that is any program: WorkerOptions::program, which need not know of cohort, with its `args`; it
    /// is looked for in PATH unless its name has a slash. It is online, and ready (Readiness::automatic), when
    /// execve(2) has succeeded; with Readiness::announced when ready() says so. Supervised like any other, but that it
    /// has no channel and no heartbeat, and is asked to leave by WorkerOptions::stop_signal, SIGTERM by default. In
    /// SharedSocket and SharedListener it has the sockets of Options::listen from descriptor 3 on, as from systemd
    /// (LISTEN_FDS, LISTEN_PID: sd_listen_fds(3)); its slot is in COHORT_SLOT. scale() makes further copies. Errors as
    /// of Master::spawn.
    ///
    ///     app.spawn_program({.args = {"server.js"}, .program = "node"});
    WorkerId spawn_program(WorkerOptions options);
    /// The same with a process that runs already, such as one that has outlived the master before this one
    /// (WorkerOptions::outlives_master); its successors are started as `options` says. How it ends is not known
    /// (ExitStatus::unknown) unless it is a child of this process, and what it writes is not captured. That `pid` is
    /// still the process that is meant, and not another one with its number, is for the caller to see: its start time
    /// tells (proc(5), /proc/pid/stat, starttime). ESRCH.
    WorkerId adopt_program(pid_t pid, WorkerOptions options);
    /// Says in place of a worker that it is ready, as Worker::ready() does: of a program that has passed a check.
    /// Errc::no_such_worker.
    void ready(WorkerId worker);

    /// Asks the worker to leave: it accepts and receives nothing more, finishes, and ends; Options::grace later it is
    /// killed. No successor comes. Errc::no_such_worker.
    void disconnect(WorkerId worker);
    /// Sets the number of workers, not counting those of with_workers(). More: further copies of the last one spawned,
    /// in the lowest free slots. Fewer: those of the highest slots are asked to leave as by disconnect(), so nothing
    /// queued or in flight is lost. Errors: Errc::stopping; no_such_worker: nothing was spawned yet; those of spawn():
    /// workers already started stay.
    void scale(unsigned workers);
    /// Sends a signal. SIGTERM, SIGINT and SIGQUIT ask the worker to leave, as disconnect() does, SIGKILL ends it: no
    /// successor comes. Errc::no_such_worker.
    void kill(WorkerId worker, int signal = SIGTERM);
    /// Gives every slot a new worker, Options::reload_at_once at a time: the successor is started, and when it is ready
    /// (Options::readiness) its predecessor is asked to leave. A replacement in progress (Options::recycle) is finished
    /// first. A successor that does not become ready ends the reload, and the old workers stay; so does a stop
    /// (Errc::stopping). Waits until all have been replaced, not until the old ones have ended. Cancelling the wait
    /// also ends the reload. With Spawn::exec the new workers run the program file as it is by then.
    [[nodiscard]] Task<ReloadReport> reload();
    /// Replaces this master: starts the program anew, from the file then at its path, with the same arguments. The new
    /// master gets the listening sockets. When all its workers are ready (Options::readiness; they share as many
    /// endpoints as this master's worker of the same slot), the workers here are asked to leave, as by stop(); their
    /// open connections go to the new ones. From then on stopping() is true. A new master that ends, or takes longer
    /// than Options::boot_timeout, is ended, as when the wait is cancelled or the cluster stops, and this one goes on:
    /// the report says why. Begins when the master that this one has replaced, if it has one, has left. Where the new
    /// program does not listen any more, connections are refused once it is ready and this one has left.
    /// Not for process 1, whose end is that of its container. Counters and worker ids start anew there.
    [[nodiscard]] Task<ReloadReport> upgrade();
    /// Asks every worker to leave, after the connections that the kernel has queued were handed out, and waits for the
    /// last one's end. Begins when called.
    [[nodiscard]] Task<> stop();
    /// Stops without grace: kills every worker.
    void kill_all();
    /// Options::logs: opens the file anew, as when it was renamed; what was written before it still goes to the old
    /// one.
    void reopen_logs();
    /// Until the last worker has gone and none will come.
    [[nodiscard]] Task<> until_finished();
    /// Until it stops, whoever asked for that, or has a successor (upgrade()), or until_finished().
    [[nodiscard]] Task<> until_stopping();

    /// The living workers, oldest first.
    std::vector<WorkerInfo> workers() const;
    /// How many of them are ready (Options::readiness), and not leaving.
    unsigned ready_workers() const;
    /// Connections per slot, and how many wait in the kernel's queues. Costs a system call per listener.
    Stats stats() const;
    /// Changes what may change while it runs: all of it, or, with an exception, nothing but the number of workers.
    /// Errors: EINVAL with a sentence: the options would contradict themselves; those of scale().
    void set(const Settings& settings);
    /// What workers have to answer now, oldest first, at most 1,000; read from shared memory, also of one that is
    /// stuck.
    std::vector<RequestInfo> requests() const;
    /// How many reloads have begun: that of the workers started since the last one (WorkerStats::generation).
    std::uint64_t generation() const noexcept;
    /// The sums over all workers, which workers can read too. Costs a system call per listener.
    Totals totals();
    /// See Worker::counter.
    Counter counter(std::string_view name);
    /// Some slot was given up because its workers kept dying young.
    bool has_given_up() const noexcept;
    bool stopping() const noexcept;
    const Options& options() const noexcept;
    asio::io_context& context() noexcept;

protected:
    using MakeDispatcher = std::unique_ptr<Dispatcher> (*)(const DispatchContext&);

    MasterBase(asio::io_context& context, Options options, detail::Schema outgoing, detail::Schema incoming,
               MakeDispatcher make_dispatcher);
    /// Kills the workers that are left and waits for their end. Whoever waits for a message, an event or the end of the
    /// last worker gets Errc::closed.
    ~MasterBase();

    WorkerId start_worker(detail::WorkerSpec spec);
    SerializeLimits limits() const noexcept;
    /// Throws Errc::no_such_worker.
    detail::MessageStream& messages_of(WorkerId worker) const;
    /// Of those that are not leaving.
    std::vector<detail::MessageStream*> receivers() const;
    std::vector<detail::MessageStream*> receivers(std::span<const WorkerId> workers) const;
    detail::Mailbox& mail() const noexcept { return *mail_; }
    /// Waits for a worker with room for a call. Errors: Errc::queue_full, stopping, no_such_worker; ETIMEDOUT.
    Task<detail::CallLease> lease_worker(std::chrono::steady_clock::time_point deadline);
    /// Waits for each of these sends to workers; those that die meanwhile do no harm.
    COHORT_LAZY static Task<> all_sent(std::vector<Task<>> sends);

private:
    friend detail::Access;

    detail::Supervisor& own() const;
    detail::BusClient connect_bus();
    COHORT_LAZY Task<> publish_encoded(detail::Published published);

    pid_t process_;
    std::unique_ptr<detail::Supervisor> supervisor_;
    detail::Mailbox* mail_;
    std::optional<detail::BusClient> bus_; // made when something is published for the first time
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/master_base.ipp>
#endif
