// SPDX-License-Identifier: MIT
// WorkerBase: the part of a worker that does not depend on its messages and its mode (layer 4).
#pragma once

#include <cohort/counter.hpp>
#include <cohort/detail/access.hpp>
#include <cohort/detail/channel/bus_client.hpp>
#include <cohort/detail/channel/greeting.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/control/counted_connection.hpp>
#include <cohort/detail/worker/accepted_peer.hpp>
#include <cohort/detail/worker/worker_spec.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/event.hpp>
#include <cohort/leadership.hpp>
#include <cohort/listener.hpp>
#include <cohort/mail.hpp>
#include <cohort/mode.hpp>
#include <cohort/stats.hpp>
#include <cohort/subscription.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace cohort {

class DatagramSocket;

namespace detail {

class MessageStream;

} // namespace detail

/// One worker process, seen from inside; the part of Worker that is compiled once. Functions that take a WorkerBase&
/// work with every Worker. The master makes it; it lives until the process ends.
class WorkerBase {
public:
    WorkerBase(const WorkerBase&) = delete;
    WorkerBase& operator=(const WorkerBase&) = delete;

    /// Names this process for the master; never used for another.
    WorkerId id() const noexcept;
    /// 0 to the number of workers less one; the successor of this worker will have it too.
    unsigned slot() const noexcept;
    pid_t pid() const noexcept;
    const std::vector<std::string>& args() const noexcept;
    asio::io_context& context() noexcept;
    asio::any_io_executor get_executor() noexcept;

    /// Shares `endpoint` with the other workers that listen on it. Errors: what the system says of the address
    /// (EADDRINUSE, EACCES, ...; trying again later is possible); EACCES also if this worker has fewer rights than its
    /// master and Options names the endpoint nowhere (Options::may_listen); Errc::too_many: it costs the master an
    /// eighth of the descriptors it may have (RLIMIT_NOFILE), or has as many listeners as are left to all others;
    /// EMFILE; Errc::stopping; Errc::closed without a master.
    [[nodiscard]] Task<Listener> listen(Endpoint endpoint);
    /// Listens on an endpoint that only this worker has, such as a port for its metrics. It closes with the worker.
    /// Same errors.
    [[nodiscard]] Task<Listener> listen(Endpoint endpoint, Exclusive);
    /// Shares the UDP port of `endpoint` with the other workers that bind it. Errors: as of listen().
    [[nodiscard]] Task<DatagramSocket> bind(Endpoint endpoint);

    /// How many connections this worker may have at a time, instead of Options::connections_per_worker. Those it has
    /// stay.
    void limit_connections(std::uint32_t most);
    /// How many it has: Socket objects from its listeners that are not destroyed yet.
    std::uint32_t open_connections() noexcept;
    /// For protocols of your own: what is returned counts as one request (SlotStats::requests, Recycle::requests) that
    /// is under way until it is destroyed. `what` it is can be seen meanwhile (Master::requests), up to 72 bytes.
    /// http::serve counts by itself.
    [[nodiscard]] detail::OngoingRequest begin_request(std::string_view what = {}) noexcept;
    /// The sums over all workers, read from shared memory without a message. May be a moment behind.
    Totals totals();
    /// An application-defined number that all processes of this cluster share; it begins with 0. Up to 256 names, as
    /// Prometheus wants them, with "_total" at the end if the number only grows. Throws std::invalid_argument for
    /// another name, for one that begins with "cohort_", and for one that differs from another one only by "_total";
    /// and Errc::no_free_slot.
    ///
    ///     auto sold = self.counter("tickets_sold_total");    sold.add();
    Counter counter(std::string_view name);
    /// What this worker is doing, from now until the next call: part of its CrashReport, and of what it writes to
    /// standard error when it is aborted, as one that is stuck is (Options::liveness). Up to 127 bytes. Costs no system
    /// call. A process that the worker has forked says it in the worker's place.
    void doing(std::string_view what) noexcept;

    /// Everything that workers and master publish on this topic from now on, as values of a T; it ends once this worker
    /// is to leave, behind what was published before. Errors: Errc::too_many: this worker has subscribed so often that
    /// it costs the master an eighth of the descriptors it may have (RLIMIT_NOFILE); Errc::message_too_large: the name
    /// has more than 1,024 bytes; EMFILE; Errc::closed without a master.
    template <class T>
    [[nodiscard]] Task<Subscription<T>> subscribe(std::string topic, SlowSubscriber slow = {}) {
        auto client = co_await connect_bus();
        auto subscription = co_await detail::subscribe<T>(std::move(client), std::move(topic), slow, limits_);
        co_return subscription;
    }
    /// To everybody who has subscribed to this topic; waits for the master, and for no subscriber (SlowSubscriber).
    /// Errors: as Channel::send, and Errc::no_descriptors for a T with a Handle.
    template <class T>
    [[nodiscard]] Task<> publish(std::string topic, const T& value) {
        return publish_encoded(detail::to_published(std::move(topic), value, limits_));
    }
    template <class T>
        requires(!std::is_lvalue_reference_v<T> && detail::unsafe_temporary<T>)
    Task<> publish(std::string, T&&) {
        return detail::refuse_temporary<T>();
    }
    /// The same, but waits while subscribers do not keep up, so that they miss nothing of it: one that stands still
    /// holds up whatever this worker publishes, until it goes on or ends.
    template <class T>
    [[nodiscard]] Task<> publish_lossless(std::string topic, const T& value) {
        return publish_encoded(detail::to_published(std::move(topic), value, limits_, true));
    }
    template <class T>
        requires(!std::is_lvalue_reference_v<T> && detail::unsafe_temporary<T>)
    Task<> publish_lossless(std::string, T&&) {
        return detail::refuse_temporary<T>();
    }
    /// Waits until this worker gets this role, which has one holder in the cluster at a time: granted in the order of
    /// the requests, also among those of one worker. Cancelling the wait withdraws the request. Errors: Errc::stopping:
    /// this worker is to leave; Errc::closed without a master; Errc::queue_full: it already has 256 requests.
    ///
    ///     const auto leadership = co_await self.leader("cron");
    [[nodiscard]] Task<Leadership> leader(std::string role);

    /// Waits until everything sent has been written to the kernel: it arrives even if this process is killed then.
    [[nodiscard]] Task<> flush();
    /// Whether the master is still running.
    bool connected() const noexcept;
    /// This worker can do its work from now on (Readiness::announced).
    void ready();
    /// This worker is to leave: the master asked, or is gone, or disconnect() was called. Its listeners end.
    bool stopping() const noexcept;
    [[nodiscard]] Task<> until_stopping();
    /// Leaves on its own initiative, as if asked to: no successor comes. The body runs until it returns.
    void disconnect();
    /// Ends the process with this code, after the at_exit() actions and a flush. Does not return.
    [[nodiscard]] Task<> exit(int code);
    /// Registers `action` to be called when the process ends, by its body, exit() or std::exit: last registered, first
    /// called. Not when it is killed. What it throws is written to standard error.
    void at_exit(std::function<void()> action);

protected:
    using MakeIntake = std::shared_ptr<Intake> (*)(IntakeContext);

    WorkerBase(const detail::WorkerSetup& setup, const Options& options, detail::Schema outgoing,
               detail::Schema incoming, MakeIntake make_intake, std::vector<std::string> args);
    ~WorkerBase() = default; // never destroyed: it lives until the process ends

    const std::shared_ptr<detail::MessageStream>& messages() const noexcept;
    const SerializeLimits& limits() const noexcept { return limits_; }

    /// A socket to another worker. Errors: those of Worker::connect.
    Task<detail::UniqueFd> connect_peer(WorkerId other);
    /// Another worker's socket to this one; nothing once this one is to leave.
    Task<std::optional<detail::AcceptedPeer>> next_peer();

private:
    friend detail::Access;

    Task<detail::BusClient> connect_bus();
    COHORT_LAZY Task<> publish_encoded(detail::Published published);

    SerializeLimits limits_;
    std::shared_ptr<detail::WorkerCore> core_;
    std::optional<detail::BusClient> bus_; // made when something is published for the first time
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/worker_base.ipp>
#endif
