// SPDX-License-Identifier: MIT
// Master: makes the workers, talks to them, watches them and ends them (layer 4).
#pragma once

#include <cohort/detail/channel/encoded_message.hpp>
#include <cohort/detail/channel/message_stream.hpp>
#include <cohort/detail/channel/serve_calls.hpp>
#include <cohort/duplex.hpp>
#include <cohort/mail.hpp>
#include <cohort/master_base.hpp>
#include <cohort/mode/round_robin.hpp>
#include <cohort/timeout.hpp>
#include <cohort/worker.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
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
class Master : public MasterBase {
    static_assert(Mode<M>, "cohort: the second argument of Master must be a mode: RoundRobin, SharedSocket, or a type "
                           "that makes a Dispatcher and an Intake as the concept cohort::Mode (cohort/mode.hpp) says");

public:
    using ToWorker = detail::ToWorkerOf<Message>;
    using ToMaster = detail::ToMasterOf<Message>;
    using Worker = cohort::Worker<Message, M>;

    using Mail = cohort::Mail<ToMaster, ToWorker>;

    /// Opens Options::listen; throws what the system says of them.
    explicit Master(asio::io_context& context, Options options = {})
        : MasterBase(context, std::move(options), detail::Schema::of<ToWorker>(), detail::Schema::of<ToMaster>(),
                     &M::make_dispatcher) {}

    /// Starts a worker in the lowest free slot. `body` is a function `Task<>(Worker&)` or `Task<int>(Worker&)` and runs
    /// in the new process. It is kept for successors (Options::restart). In a program that was started as a worker
    /// (Spawn::exec) the body runs here, and spawn() does not return. Errors: Errc::multithreaded, stopping,
    /// no_free_slot, and those of fork(2).
    template <class Body>
    WorkerId spawn(Body body, WorkerOptions options) {
        return spawn_in(0, std::move(body), std::move(options));
    }
    template <class Body>
    WorkerId spawn(Body body) {
        return spawn(std::move(body), options().worker);
    }

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

    /// To one worker. See Channel::send; Errc::no_such_worker: it has gone; Errc::closed: it was asked to leave.
    [[nodiscard]] Task<> send(WorkerId worker, const ToWorker& message) {
        return messages_of(worker).send(encoded(message));
    }
    Task<> send(WorkerId, ToWorker&&)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }
    /// Waits until the worker has received it. See Channel::send_acked; errors as of send() and call().
    [[nodiscard]] Task<> send_acked(WorkerId worker, const ToWorker& message, Timeout timeout = {}) {
        return detail::answer_of(messages_of(worker).send_acked(encoded(message)), timeout);
    }
    Task<> send_acked(WorkerId, ToWorker&&, Timeout = {})
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }
    /// Asks one worker, and waits for its reply. See Channel::call; errors as of send(), and ECONNRESET when the worker
    /// ends without a reply, by itself, at the end of its grace, or by kill_all().
    [[nodiscard]] Task<ToMaster> call(WorkerId worker, const ToWorker& request, Timeout timeout = {}) {
        return detail::reply_of(messages_of(worker).template call<ToMaster>(limits(), encoded(request)), timeout);
    }
    Task<ToMaster> call(WorkerId, ToWorker&&, Timeout = {})
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker, ToMaster>();
    }
    /// Asks the worker with the fewest pending calls, waiting while all are full: a pool (Options::calls_per_worker,
    /// queued_calls). The request is encoded when called. Errors: as call(worker, ...), ECONNRESET when the worker dies
    /// and the call is not idempotent; Errc::queue_full; Errc::stopping, no_such_worker: no worker will be available,
    /// now or for another attempt; Errc::closed: this master was destroyed.
    [[nodiscard]] Task<ToMaster> call(const ToWorker& request, CallOptions options = {}) {
        return pooled_call(std::make_shared<detail::EncodedMessage>(request, limits()), options);
    }
    Task<ToMaster> call(ToWorker&&, CallOptions = {})
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker, ToMaster>();
    }
    /// To every worker that is not leaving.
    [[nodiscard]] Task<> broadcast(const ToWorker& message) { return send_to(receivers(), message); }
    Task<> broadcast(ToWorker&&)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }

    /// To these workers; ids of those that have ended, or are leaving, are skipped.
    [[nodiscard]] Task<> broadcast(const ToWorker& message, std::span<const WorkerId> workers) {
        return send_to(receivers(workers), message);
    }
    Task<> broadcast(ToWorker&&, std::span<const WorkerId>)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }

private:
    friend detail::Access;

    /// A spawn() for a group of workers that end together (with_workers).
    template <class Body>
    WorkerId spawn_in(unsigned group, Body body, WorkerOptions options) {
        auto make = detail::worker_factory<Worker>(std::move(body), this->options(), options.args);
        return start_worker({std::move(make), std::move(options), group});
    }
    auto encoded(const ToWorker& message) const {
        return [&message, limits = limits()](detail::Buffer& out, std::vector<int>& descriptors) {
            encode(message, out, limits, &descriptors);
        };
    }
    Task<> send_to(const std::vector<detail::MessageStream*>& receivers, const ToWorker& message) {
        const detail::EncodedMessage encoded(message, limits());
        std::vector<Task<>> sends;
        for (auto* const receiver : receivers) sends.push_back(receiver->send(encoded));
        return all_sent(std::move(sends));
    }
    Task<ToMaster> pooled_call(std::shared_ptr<detail::EncodedMessage> request, CallOptions options);
    std::optional<Mail> next_mail();
};

template <class Message, class M>
Task<detail::ToMasterOf<Message>> Master<Message, M>::pooled_call(std::shared_ptr<detail::EncodedMessage> request,
                                                                  CallOptions options) {
    const auto deadline = options.timeout.deadline();
    const SerializeLimits limits = this->limits(); // the wait may outlive this master
    for (unsigned attempt = 1;; ++attempt) {
        const auto lease = co_await lease_worker(deadline);
        const auto reply = lease.messages().template call<ToMaster>(limits, *request);
        try {
            co_await reply->wait(deadline - std::chrono::steady_clock::now());
            co_return reply->take();
        } catch (const std::system_error& error) {
            const bool again = options.idempotent && attempt < options.attempts && detail::is_loss(error.code());
            if (!again || lease.is_over()) throw;
        }
    }
}

template <class Message, class M>
std::optional<typename Master<Message, M>::Mail> Master<Message, M>::next_mail() {
    while (auto* const stream = mail().next()) {
        std::optional<Mail> letter(std::in_place);
        letter->from = mail().sender();
        detail::Access::set_limits(*letter, limits());
        try {
            detail::Access::call(*letter) = stream->take(letter->message, limits());
        } catch (const std::system_error& error) {
            if (error.code() == Errc::descriptors_lost) throw;
            mail().refuse(error.code());
            continue;
        }
        mail().taken();
        return letter;
    }
    return std::nullopt;
}

template <class Message, class M>
Task<std::optional<typename Master<Message, M>::Mail>> Master<Message, M>::receive() {
    for (;;) {
        // The fast path is only safe where nobody can cancel between here and the return: see detail::switched().
        const bool steady = co_await detail::switched();
        if (!steady || !mail().has_mail() || mail().turn_is_over()) {
            const bool arrived = co_await mail().arrival();
            if (!arrived) co_return std::nullopt;
        }
        if (auto letter = next_mail()) co_return letter;
    }
}

} // namespace cohort
