// SPDX-License-Identifier: MIT
// Master: makes the workers, talks to them, watches them and ends them (layer 4).
#pragma once

#include <cohort/detail/supervise/supervisor.hpp>
#include <cohort/mode/round_robin.hpp>
#include <cohort/subscription.hpp>
#include <cohort/worker.hpp>

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace cohort {

/// The process that supervises. One thread, one event loop; it outlives its workers: destroying it kills those that
/// are left, and when it dies they drain and end.
///
///     asio::io_context io;
///     Master<Hit> app{io, {.listen = {8080}}};
///     app.spawn(work);                       // Task<> work(Master<Hit>::Worker&)
///     while (auto event = co_await app.next_event()) ...
template <class Message, class M = RoundRobin>
class Master {
    static_assert(Mode<M>, "cohort: the second argument of Master must be a mode: RoundRobin, SharedSocket, or a type "
                           "with a Dispatcher and an Intake as the concept cohort::Mode (cohort/mode.hpp) lists them");

public:
    using ToWorker = detail::ToWorkerOf<Message>;
    using ToMaster = detail::ToMasterOf<Message>;
    using Worker = cohort::Worker<Message, M>;

    using Mail = cohort::Mail<ToMaster, ToWorker>;
    using Duration = std::chrono::steady_clock::duration;

    /// Opens Options::listen; throws what the system says of them.
    explicit Master(asio::io_context& context, Options options = {})
        : supervisor_(context, std::move(options), {detail::Schema::of<ToWorker>(), detail::Schema::of<ToMaster>()},
                      &make_dispatcher) {}
    Master(const Master&) = delete;
    Master& operator=(const Master&) = delete;
    /// Kills the workers that are left and waits for their end.
    ~Master() = default;

    /// Starts a worker in the lowest free slot. `body` is a function `Task<>(Worker&)` or `Task<int>(Worker&)` and runs
    /// in the new process. It is kept for successors (Options::restart). In a program that was started as a worker
    /// (Spawn::exec) this is where its life begins, and it does not return. Errors: Errc::multithreaded, stopping,
    /// no_free_slot, and what fork(2) says.
    template <class Body>
    WorkerId spawn(Body body, WorkerOptions options) {
        return spawn_in(0, std::move(body), std::move(options));
    }
    template <class Body>
    WorkerId spawn(Body body) {
        return spawn(std::move(body), options().worker);
    }

    /// What happens to the workers, in order, each once; nothing when the last worker has gone and none will come.
    /// Up to 4096 events are kept for a program that does not ask; then the oldest go.
    [[nodiscard]] Task<std::optional<Event>> next_event() { return supervisor_.next_event(); }
    /// The next message of any worker, in turn, with the means to reply to a call; nothing when the last worker has
    /// gone and none will come. The last messages of a worker are here before its exited event. Errors:
    /// Errc::descriptors_lost: a message was dropped, because its descriptors did not fit in this process.
    [[nodiscard]] Task<std::optional<Mail>> receive();
    /// Answers every message with what `handler`, a `Task<ToWorker>(const Mail&)`, gives, for as long as receive()
    /// would go on. See Channel::serve.
    template <class Handler>
    [[nodiscard]] Task<> serve(Handler handler, std::size_t at_once = 1024) {
        static_assert(
            requires(const Mail& mail) {
                { handler(mail) } -> std::same_as<Task<ToWorker>>;
            }, "cohort: the handler given to Master::serve must be callable as Task<ToWorker>(const Mail&)");
        return detail::serve_calls(*this, std::move(handler), at_once);
    }
    [[nodiscard]] Task<std::optional<Mail>> receive_mail() { return receive(); }

    /// To one worker. See Channel::send; Errc::no_such_worker: it has gone.
    [[nodiscard]] Task<> send(WorkerId worker, const ToWorker& message) {
        return supervisor_.record(worker).messages->send(encoded(message));
    }
    Task<> send(WorkerId, ToWorker&&)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }
    /// Waits until the worker has received it. See Channel::send_acked.
    [[nodiscard]] Task<> send_acked(WorkerId worker, const ToWorker& message, Duration timeout = Duration::max()) {
        return detail::answer_of(supervisor_.record(worker).messages->send_acked(encoded(message)), timeout);
    }
    Task<> send_acked(WorkerId, ToWorker&&, Duration = Duration::max())
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }
    /// Asks one worker, and waits for its reply. See Channel::call; Errc::no_such_worker.
    [[nodiscard]] Task<ToMaster> call(WorkerId worker, const ToWorker& request, Duration timeout = Duration::max()) {
        auto& messages = *supervisor_.record(worker).messages;
        return detail::reply_of(messages.template call<ToMaster>(limits(), encoded(request)), timeout);
    }
    Task<ToMaster> call(WorkerId, ToWorker&&, Duration = Duration::max())
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker, ToMaster>();
    }
    /// Asks the worker that has the fewest calls under way, or the first that has room: a pool
    /// (Options::calls_per_worker, queued_calls). The request is taken when called. Errors: as call(worker, ...),
    /// ECONNRESET when the worker dies and the call is not idempotent; Errc::queue_full; Errc::stopping,
    /// no_such_worker: none will come.
    [[nodiscard]] Task<ToMaster> call(const ToWorker& request, CallOptions options = {}) {
        return pooled_call(std::make_shared<detail::EncodedMessage>(request, limits()), options);
    }
    Task<ToMaster> call(ToWorker&&, CallOptions = {})
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker, ToMaster>();
    }
    /// To every worker that is not leaving.
    [[nodiscard]] Task<> broadcast(const ToWorker& message);
    Task<> broadcast(ToWorker&&)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }

    /// To some: ids of workers that have gone, or are leaving, are passed over.
    [[nodiscard]] Task<> broadcast(const ToWorker& message, std::span<const WorkerId> workers);
    Task<> broadcast(ToWorker&&, std::span<const WorkerId>)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }

    /// Everything that workers and master publish on this topic from now on, as values of a T.
    template <class T>
    [[nodiscard]] Task<Subscription<T>> subscribe(std::string topic) {
        return detail::subscribe<T>(to_bus(), std::move(topic), limits());
    }
    /// To everybody who has subscribed to this topic. See Worker::publish.
    template <class T>
    [[nodiscard]] Task<> publish(std::string topic, const T& value) {
        if (!bus_) bus_.emplace(to_bus());
        const detail::ToBus published = detail::to_bus(std::move(topic), value, limits());
        return bus_->send(published);
    }
    template <class T>
        requires(!std::is_lvalue_reference_v<T> && detail::unsafe_temporary<T>)
    Task<> publish(std::string, T&&) {
        return detail::refuse_temporary<T>();
    }

    /// Asks the worker to leave: it accepts and receives nothing more, finishes, and ends; Options::grace later it is
    /// killed. No successor comes. Errc::no_such_worker.
    void disconnect(WorkerId worker) { supervisor_.disconnect(worker); }
    /// So many workers from now on, without those of with_workers(). More: further ones as the last one that was
    /// spawned, in the lowest free slots. Fewer: those of the highest slots are asked to leave as by disconnect(), so
    /// nothing that is queued or in flight is lost. Errors: Errc::stopping; no_such_worker: nothing was spawned yet;
    /// those of spawn(): the ones that could be started stay.
    void scale(unsigned workers) { supervisor_.slot_manager().scale(workers); }
    /// Sends a signal. SIGTERM, SIGINT, SIGQUIT and SIGKILL say that the worker is to end: no successor comes.
    /// Errc::no_such_worker.
    void kill(WorkerId worker, int signal = SIGTERM) { supervisor_.kill(worker, signal); }
    /// Gives every slot a new worker, Options::reload_at_once at a time: the successor is started, and when it is ready
    /// (Options::readiness) its predecessor is asked to leave. A replacement under way (Options::recycle) ends first. A
    /// successor that does not become ready ends the reload, and the old workers stay. Waits until all have been
    /// replaced, not until the old ones have gone. Giving up the wait ends it in the same way. With Spawn::exec the new
    /// workers run the program as it is then.
    [[nodiscard]] Task<ReloadReport> reload() { return supervisor_.reload(); }
    /// Replaces this whole master: the program is started anew, from the file that has its name then and with the same
    /// arguments; it gets the listening sockets, and when all its workers are ready (Options::readiness; as many
    /// endpoints as the worker of the same slot shares here) those of this one are asked to leave, as by stop(), and
    /// what they have open goes to the new ones. From then on stopping() is true. A new master that ends, or takes
    /// longer than Options::boot_timeout, is ended, and this one goes on: the report says why. Giving up the
    /// wait ends it, too. Not for process 1: its
    /// end is that of its container. Counters and worker ids begin anew there.
    [[nodiscard]] Task<ReloadReport> upgrade() { return supervisor_.upgrade(); }
    /// Asks every worker to leave, after the connections that the kernel has queued were handed out, and waits for the
    /// last one's end. Begins when called.
    [[nodiscard]] Task<> stop() { return supervisor_.stop(); }
    /// The end without grace.
    void kill_all() { supervisor_.kill_all(); }
    /// Until the last worker has gone and none will come.
    [[nodiscard]] Task<> until_finished() { return supervisor_.until_finished(); }

    /// The living workers, oldest first.
    std::vector<WorkerInfo> workers() const { return supervisor_.workers(); }
    /// Which slot has had how many connections, and how many wait in the kernel's queues. Costs a system call a
    /// listener.
    Stats stats() { return supervisor_.stats(); }
    /// The same for all of them together, as workers see it too.
    Totals totals() { return supervisor_.page().totals(); }
    /// See Worker::counter.
    Counter counter(std::string_view name) { return supervisor_.page().counter(name); }
    /// Some slot was given up because its workers kept dying young.
    bool has_given_up() const noexcept { return supervisor_.has_given_up(); }
    bool stopping() const noexcept { return supervisor_.stopping(); }
    const Options& options() const noexcept { return supervisor_.options(); }
    asio::io_context& context() noexcept { return supervisor_.context(); }

    /// What run() and with_workers() build on.
    detail::Supervisor& supervisor() noexcept { return supervisor_; }
    /// A spawn() for a group of workers that end together.
    template <class Body>
    WorkerId spawn_in(unsigned group, Body body, WorkerOptions options) {
        auto make = detail::worker_factory<Worker>(std::move(body), supervisor_.options(), options.args);
        return supervisor_.spawn({std::move(make), std::move(options), group});
    }

private:
    static std::unique_ptr<detail::AnyDispatcher> make_dispatcher(DispatchContext context) {
        return std::make_unique<detail::ErasedDispatcher<typename M::Dispatcher>>(context);
    }
    SerializeLimits limits() const noexcept { return {.bytes = options().max_message}; }
    auto encoded(const ToWorker& message) const {
        return [&message, limits = limits()](detail::Buffer& out, std::vector<int>& descriptors) {
            encode(message, out, limits, &descriptors);
        };
    }
    detail::BusChannel to_bus() {
        return {context().get_executor(), supervisor_.bus().connect(0), {.max_length = options().max_message}};
    }
    Task<ToMaster> pooled_call(std::shared_ptr<detail::EncodedMessage> request, CallOptions options);
    std::optional<Mail> next_mail();

    detail::Supervisor supervisor_;
    std::optional<detail::BusChannel> bus_;
};

template <class Message, class M>
Task<> Master<Message, M>::broadcast(const ToWorker& message) {
    std::vector<WorkerId> everybody;
    for (const auto& [id, record] : supervisor_.records()) everybody.push_back(id);
    return broadcast(message, everybody);
}

template <class Message, class M>
Task<> Master<Message, M>::broadcast(const ToWorker& message, std::span<const WorkerId> workers) {
    const detail::EncodedMessage encoded(message, limits());
    std::vector<Task<>> sends;
    for (const WorkerId id : workers) {
        const auto found = supervisor_.records().find(id);
        const bool is_there = found != supervisor_.records().end() && found->second->state < WorkerState::draining;
        if (is_there) sends.push_back(found->second->messages->send(encoded));
    }
    return detail::all_sent(std::move(sends));
}

template <class Message, class M>
Task<detail::ToMasterOf<Message>> Master<Message, M>::pooled_call(std::shared_ptr<detail::EncodedMessage> request,
                                                                  CallOptions options) {
    const auto deadline = detail::deadline_after(options.timeout);
    for (unsigned attempt = 1;; ++attempt) {
        const auto place = co_await supervisor_.pool().lease(deadline);
        const auto reply = place.worker().messages->template call<ToMaster>(limits(), *request);
        try {
            co_await reply->wait(deadline - std::chrono::steady_clock::now());
            co_return reply->take();
        } catch (const std::system_error& error) {
            if (!options.idempotent || attempt >= options.attempts || !detail::is_loss(error.code())) throw;
        }
    }
}

template <class Message, class M>
std::optional<typename Master<Message, M>::Mail> Master<Message, M>::next_mail() {
    while (auto* const record = supervisor_.mail().next()) {
        std::optional<Mail> mail(std::in_place);
        mail->from = record->id;
        mail->set_limits(limits());
        try {
            mail->call() = record->messages->take(mail->message, limits());
        } catch (const std::system_error& error) {
            if (error.code() == Errc::descriptors_lost) throw;
            supervisor_.mail().refuse(*record, error.code());
            continue;
        }
        supervisor_.mail().taken();
        return mail;
    }
    return std::nullopt;
}

template <class Message, class M>
Task<std::optional<typename Master<Message, M>::Mail>> Master<Message, M>::receive() {
    for (;;) {
        // The short way is for a coroutine that nobody can cancel between here and its return.
        const bool steady = co_await detail::switched();
        if (!steady || !supervisor_.mail().has_mail()) {
            const bool arrived = co_await supervisor_.mail().arrival();
            if (!arrived) co_return std::nullopt;
        }
        if (auto mail = next_mail()) co_return mail;
    }
}

} // namespace cohort
