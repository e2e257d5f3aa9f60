// SPDX-License-Identifier: MIT
// Worker: what the body of a worker process works with (layer 4).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/worker/worker_main.hpp>
#include <cohort/duplex.hpp>
#include <cohort/leadership.hpp>
#include <cohort/mode.hpp>
#include <cohort/subscription.hpp>

#include <asio/io_context.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace cohort {

/// One worker process, seen from inside. The master makes it; the body gets a reference, which holds until the process
/// ends. The process ends when the body returns: with code 0, with the int it returns, or with 1 and a line on standard
/// error when it throws. What was sent before arrives.
template <class Message, Mode M>
class Worker {
public:
    using ToMaster = detail::ToMasterOf<Message>;
    using ToWorker = detail::ToWorkerOf<Message>;
    using Mail = cohort::Mail<ToWorker, ToMaster>;
    using Duration = std::chrono::steady_clock::duration;

    Worker(asio::io_context& context, detail::SharedPage& page, const detail::Identity& identity,
           const Options& options, std::vector<std::string> args)
        : limits_{.bytes = options.max_message},
          channel_(context.get_executor(), detail::UniqueFd(identity.channel), {.max_length = options.max_message}),
          core_(context, page, identity, options, &make_intake, channel_.stream()),
          args_(std::move(args)) {
        core_.start();
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Names this process for the master; never used for another.
    WorkerId id() const noexcept { return core_.identity().id; }
    /// 0 to the number of workers less one; the successor of this worker will have it too.
    unsigned slot() const noexcept { return core_.identity().slot; }
    pid_t pid() const noexcept { return ::getpid(); }
    const std::vector<std::string>& args() const noexcept { return args_; }
    asio::io_context& context() noexcept { return core_.context(); }
    asio::any_io_executor get_executor() noexcept { return context().get_executor(); }

    /// Shares `endpoint` with the other workers that listen on it. Errors: what the system says of the address
    /// (EADDRINUSE, EACCES, ...; trying again later is possible), Errc::stopping, Errc::closed without a master.
    [[nodiscard]] Task<Listener> listen(Endpoint endpoint) { return core_.listen(std::move(endpoint)); }
    /// Listens on an endpoint of this worker's own: for a port that is not for everybody, such as its metrics. It ends
    /// with the worker. The same errors.
    [[nodiscard]] Task<Listener> listen(Endpoint endpoint, Exclusive) {
        return core_.listen_alone(std::move(endpoint));
    }

    /// How many connections this worker may have at a time, instead of Options::connections_per_worker. Those it has
    /// stay.
    void limit_connections(std::uint32_t most) { core_.connection_count().set_limit(most); }
    /// How many it has: Socket objects from its listeners that are not destroyed yet.
    std::uint32_t open_connections() noexcept { return core_.connection_count().open(); }

    /// For protocols of your own: what is returned counts as one request (SlotStats::requests, Recycle::requests) that
    /// is under way until it is destroyed. http::serve counts by itself.
    [[nodiscard]] detail::OngoingRequest begin_request() noexcept { return core_.connection_count().begin_request(); }
    /// What all workers together have done and have, without a message. It may be a moment behind.
    Totals totals() { return core_.page().totals(); }
    /// A number of the program's own, the same in all processes of this cluster; it begins with 0. Names are as
    /// Prometheus wants them, with "_total" at the end of what only grows; up to 256. Throws std::invalid_argument for
    /// another name, and Errc::no_free_slot.
    ///
    ///     auto sold = self.counter("tickets_sold_total");    sold.add();
    Counter counter(std::string_view name) { return core_.page().counter(name); }
    /// What this worker is doing, from now until the next call: part of what it writes to standard error when it is
    /// aborted, as one that is stuck is (Options::liveness). Up to 127 bytes. Costs no system call.
    void doing(std::string_view what) noexcept { detail::AbortReport::set_note(what); }

    /// Shares the UDP port of `endpoint` with the other workers that bind it. Errors: as of listen().
    [[nodiscard]] Task<DatagramSocket> bind(Endpoint endpoint) { return core_.bind(std::move(endpoint)); }

    /// To the master. See Channel::send.
    [[nodiscard]] Task<> send(const ToMaster& message) { return channel_.send(message); }
    Task<> send(ToMaster&&)
        requires detail::unsafe_temporary<ToMaster>
    {
        return detail::refuse_temporary<ToMaster>();
    }
    /// Until what was sent is in the kernel's hands: then it arrives even if this process is killed.
    [[nodiscard]] Task<> flush() { return channel_.flush(); }
    /// Waits until the master has received it. See Channel::send_acked.
    [[nodiscard]] Task<> send_acked(const ToMaster& message, Duration timeout = Duration::max()) {
        return channel_.send_acked(message, timeout);
    }
    Task<> send_acked(ToMaster&&, Duration = Duration::max())
        requires detail::unsafe_temporary<ToMaster>
    {
        return detail::refuse_temporary<ToMaster>();
    }
    /// Asks the master, and waits for its reply. See Channel::call.
    [[nodiscard]] Task<ToWorker> call(const ToMaster& request, Duration timeout = Duration::max()) {
        return channel_.call(request, timeout);
    }
    Task<ToWorker> call(ToMaster&&, Duration = Duration::max())
        requires detail::unsafe_temporary<ToMaster>
    {
        return detail::refuse_temporary<ToMaster, ToWorker>();
    }
    /// From the master; nothing once it has asked this worker to leave, or is gone. See Channel::receive.
    [[nodiscard]] Task<std::optional<ToWorker>> receive() { return channel_.receive(); }
    /// The same, with the means to reply to a call. See Channel::receive_mail.
    [[nodiscard]] Task<std::optional<Mail>> receive_mail() { return channel_.receive_mail(); }
    /// Answers the master's calls with what `handler`, a `Task<ToMaster>(const ToWorker&)`, gives, until this worker is
    /// to leave. See Channel::serve.
    template <class Handler>
    [[nodiscard]] Task<> serve(Handler handler, std::size_t at_once = 1024) {
        return channel_.serve(std::move(handler), at_once);
    }
    /// A channel of its own to another worker, which gets it from accept_peer() with the same T (for Duplex<A, B> here,
    /// Duplex<B, A> there). The master only introduces them; what they send does not pass through it. It ends with
    /// either worker. Errors: Errc::no_such_worker: none with this id, or it is leaving; Errc::closed without a master.
    template <class T, class Via = UnixStream>
    [[nodiscard]] Task<Channel<T, Via>> connect(WorkerId other, ChannelLimits limits = {}) {
        auto socket = co_await core_.introduce(other);
        co_return Channel<T, Via>(get_executor(), std::move(socket), limits);
    }
    /// Another worker's channel to this one.
    template <class T, class Via = UnixStream>
    struct Peer {
        WorkerId from = 0;
        Channel<T, Via> channel;
    };
    /// The next worker that wants to talk to this one; nothing once this one is to leave. Up to 256 wait.
    template <class T, class Via = UnixStream>
    [[nodiscard]] Task<std::optional<Peer<T, Via>>> accept_peer(ChannelLimits limits = {}) {
        auto visit = co_await core_.next_peer();
        if (!visit) co_return std::nullopt;
        std::optional<Peer<T, Via>> peer;
        peer.emplace(
            Peer<T, Via>{visit->from, Channel<T, Via>::accepted(get_executor(), std::move(visit->socket), limits)});
        co_return peer;
    }
    /// Everything that workers and master publish on this topic from now on, as values of a T.
    template <class T>
    [[nodiscard]] Task<Subscription<T>> subscribe(std::string topic) {
        auto socket = co_await core_.connect_bus();
        detail::BusChannel channel(get_executor(), std::move(socket), {.max_length = limits_.bytes});
        auto subscription = co_await detail::subscribe<T>(std::move(channel), std::move(topic), limits_);
        co_return subscription;
    }
    /// To everybody who has subscribed to this topic; waits while they do not keep up. Errors: as Channel::send, and
    /// Errc::no_descriptors for a T with a Handle.
    template <class T>
    [[nodiscard]] Task<> publish(std::string topic, const T& value) {
        return publish(detail::to_bus(std::move(topic), value, limits_));
    }
    template <class T>
        requires(!std::is_lvalue_reference_v<T> && detail::unsafe_temporary<T>)
    Task<> publish(std::string, T&&) {
        return detail::refuse_temporary<T>();
    }
    /// Waits until this worker is the only one in the cluster that has this role: granted in the order of asking, also
    /// to successors of workers that have gone, and within one worker. Giving up the wait withdraws. Errors:
    /// Errc::stopping: this worker is to leave; Errc::closed without a master; Errc::queue_full: it has asked for more
    /// than 256.
    ///
    ///     const auto leadership = co_await self.leader("cron");
    [[nodiscard]] Task<Leadership> leader(std::string role) { return core_.leader(std::move(role)); }
    /// The master is there.
    bool connected() const noexcept { return core_.connected(); }

    /// This worker can do its work from now on (Readiness::announced).
    void ready() { core_.announce_ready(); }
    /// This worker is to leave: the master asked, or is gone, or disconnect() was called. Listeners have ended.
    bool stopping() const noexcept { return core_.stopping(); }
    [[nodiscard]] Task<> until_stopping() { return core_.until_stopping(); }
    /// Leaves by its own decision, in the same way: no successor comes. The body goes on until it returns.
    void disconnect() { core_.leave(); }
    /// Ends the process with this code now, when what was sent is on its way. Does not return.
    [[nodiscard]] Task<> exit(int code) {
        core_.exit(code); // blocking is right here: nothing else is to happen any more
        co_return;
    }

    /// Has `action` called when the process ends: by its body, exit() or std::exit, the last one given first. Not when
    /// it is killed. What it throws is written to standard error.
    void at_exit(std::function<void()> action) { core_.at_exit(std::move(action)); }

    /// What the master's side builds on.
    detail::WorkerCore& core() noexcept { return core_; }

private:
    static std::shared_ptr<Intake> make_intake(IntakeContext context) {
        return std::make_shared<typename M::Intake>(std::move(context));
    }

    /// The connection for publishing is made when it is first needed.
    Task<> publish(detail::ToBus published) {
        if (!bus_) {
            auto socket = co_await core_.connect_bus();
            if (!bus_) bus_.emplace(get_executor(), std::move(socket), ChannelLimits{.max_length = limits_.bytes});
        }
        co_await bus_->send(published);
    }

    SerializeLimits limits_;
    Channel<Duplex<ToMaster, ToWorker>> channel_;
    detail::WorkerCore core_;
    std::optional<detail::BusChannel> bus_;
    std::vector<std::string> args_;
};

namespace detail {

template <class Body, class W>
concept WorkerBody = requires(Body& body, W& self) {
    { body(self) } -> std::same_as<Task<>>;
} || requires(Body& body, W& self) {
    { body(self) } -> std::same_as<Task<int>>;
};

Task<int> with_code_0(Task<> body);

/// What a body of either kind is to the rest of the library.
template <class W, class Body>
MakeWorker worker_factory(Body body, Options options, std::vector<std::string> args) {
    static_assert(WorkerBody<Body, W>,
                  "cohort: a worker body must be callable as Task<>(App::Worker&) or Task<int>(App::Worker&): a named "
                  "coroutine function is best");
    return [=](asio::io_context& context, SharedPage& page, const Identity& identity) {
        auto& self = *new W(context, page, identity, options, args);
        // A coroutine that is a function object needs it to the end; static, so that it does not count as leaked.
        static Body* kept = nullptr;
        Body& own_body = *(kept = new Body(body));
        if constexpr (std::is_same_v<decltype(own_body(self)), Task<int>>)
            return RunningWorker{&self.core(), own_body(self)};
        else
            return RunningWorker{&self.core(), with_code_0(own_body(self))};
    };
}

} // namespace detail

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/worker.ipp>
#endif
