// SPDX-License-Identifier: MIT
// Master: makes the workers, talks to them, watches them and ends them (layer 4).
#pragma once

#include <cohort/detail/event_log.hpp>
#include <cohort/detail/identity.hpp>
#include <cohort/detail/launch.hpp>
#include <cohort/detail/mailbox.hpp>
#include <cohort/detail/worker_record.hpp>
#include <cohort/mode/round_robin.hpp>
#include <cohort/worker.hpp>

#include <algorithm>
#include <map>

#include <sched.h>

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

    struct Mail {
        WorkerId from = 0;
        ToMaster message;
    };

    /// Opens Options::listen; throws what the system says of them.
    explicit Master(asio::io_context& context, Options options = {});
    Master(const Master&) = delete;
    Master& operator=(const Master&) = delete;
    /// Kills the workers that are left and waits for their end.
    ~Master();

    /// Starts a worker in the lowest free slot. `body` is a function `Task<>(Worker&)` or `Task<int>(Worker&)` and runs
    /// in the new process. It is kept for successors (Options::restart). In a program that was started as a worker
    /// (Spawn::exec) this is where its life begins, and it does not return. Errors: Errc::multithreaded, stopping,
    /// no_free_slot, and what fork(2) says.
    template <class Body>
    WorkerId spawn(Body body, WorkerOptions options);
    template <class Body>
    WorkerId spawn(Body body) {
        return spawn(std::move(body), options_.worker);
    }

    /// What happens to the workers, in order, each once; nothing when the last worker has gone and none will come.
    /// Up to 4096 events are kept for a program that does not ask; then the oldest go.
    [[nodiscard]] Task<std::optional<Event>> next_event();
    /// The next message of any worker, in turn; nothing when the last worker has gone and none will come. The last
    /// messages of a worker are here before its exited event.
    [[nodiscard]] Task<std::optional<Mail>> receive();

    /// To one worker. See Channel::send; Errc::no_such_worker: it has gone.
    [[nodiscard]] Task<> send(WorkerId worker, const ToWorker& message) { return record(worker).channel.send(message); }
    Task<> send(WorkerId, ToWorker&&)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }
    /// To every worker that is not leaving.
    [[nodiscard]] Task<> broadcast(const ToWorker& message);
    Task<> broadcast(ToWorker&&)
        requires detail::unsafe_temporary<ToWorker>
    {
        return detail::refuse_temporary<ToWorker>();
    }

    /// Asks the worker to leave: it accepts and receives nothing more, finishes, and ends; Options::grace later it is
    /// killed. No successor comes. Errc::no_such_worker.
    void disconnect(WorkerId worker) { ask_to_leave(record(worker)); }
    /// Sends a signal. SIGTERM, SIGINT, SIGQUIT and SIGKILL say that the worker is to end: no successor comes.
    /// Errc::no_such_worker.
    void kill(WorkerId worker, int signal = SIGTERM);
    /// Asks every worker to leave, after the connections that the kernel has queued were handed out, and waits for the
    /// last one's end. Begins when called.
    [[nodiscard]] Task<> stop();
    /// The end without grace.
    void kill_all();
    /// Until the last worker has gone and none will come.
    [[nodiscard]] Task<> until_finished();

    /// The living workers, oldest first.
    std::vector<WorkerInfo> workers() const;
    /// Some slot was given up because its workers kept dying young.
    bool has_given_up() const noexcept { return given_up_; }
    bool stopping() const noexcept { return stopping_; }
    const Options& options() const noexcept { return options_; }
    asio::io_context& context() noexcept { return context_; }

private:
    using Record = detail::WorkerRecord<ToWorker, ToMaster>;
    using RecordPtr = std::shared_ptr<Record>;
    using Slot = detail::Slot<Worker>;

    unsigned free_slot();
    WorkerId start(unsigned slot);
    void restart_later(unsigned slot, std::chrono::milliseconds delay);

    Task<> control(RecordPtr record);
    Task<> read_mail(RecordPtr record);
    Task<> await_exit(RecordPtr record);
    void handle(Record& record, detail::Packet<detail::FromWorker>& packet);
    void answer(Record& record, const detail::Listen& request);
    Grant open(Record& record, const Endpoint& endpoint);
    void on_exit(const RecordPtr& record, const ExitStatus& status);
    void break_off(Record& record, std::error_code error);
    void ask_to_leave(Record& record);
    void enter(Record& record, WorkerState state, Event details = {});
    bool finished() const noexcept { return records_.empty() && coming_ == 0 && (stopping_ || last_id_ != 0); }
    void notify_if_finished();
    Record& record(WorkerId worker);
    Task<> until_gone();

    asio::io_context& context_;
    Options options_;
    detail::SharedPage page_;
    typename M::Dispatcher dispatcher_;
    std::vector<std::unique_ptr<Slot>> slots_;
    std::map<WorkerId, RecordPtr> records_;
    detail::Mailbox<Record> mailbox_;
    detail::EventLog events_;
    detail::Notifier worker_gone_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    WorkerId last_id_ = 0;
    unsigned coming_ = 0; // successors that wait for their time
    bool stopping_ = false;
    bool given_up_ = false;
};

template <class Message, class M>
Master<Message, M>::Master(asio::io_context& context, Options options)
    : context_(context),
      options_(std::move(options)),
      dispatcher_(DispatchContext{context.get_executor(), page_, options_}),
      mailbox_(context.get_executor()),
      events_(context.get_executor()),
      worker_gone_(context.get_executor()) {
    if (!detail::pending_identity) dispatcher_.prepare();
}

template <class Message, class M>
Master<Message, M>::~Master() {
    *alive_ = false;
    stopping_ = true;
    for (const auto& [id, record] : records_) {
        record->abandoned = true;
        detail::send_signal(record->pidfd.get(), SIGKILL);
        detail::reap(record->pidfd.get(), true);
        record->pidfd.cancel();
        record->grace.cancel();
        record->link->close();
        record->channel.stream().abort();
        record->drained.notify_all();
    }
}

// Starting

template <class Message, class M>
template <class B>
WorkerId Master<Message, M>::spawn(B body, WorkerOptions options) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    detail::Assignment<Worker> assignment{detail::erase_body<Worker>(std::move(body)), std::move(options)};
    detail::live_if_started_as_worker<Worker>(options_, assignment.options.args, assignment.body);
    const unsigned slot = free_slot();
    slots_[slot] = std::make_unique<Slot>(Slot{std::move(assignment), detail::RestartPolicy(options_.restart)});
    return start(slot);
}

template <class Message, class M>
unsigned Master<Message, M>::free_slot() {
    const auto found = std::ranges::find_if(slots_, [](const auto& slot) { return !slot->occupied; });
    const auto slot = static_cast<unsigned>(found - slots_.begin());
    if (found == slots_.end()) slots_.emplace_back();
    return slot;
}

template <class Message, class M>
WorkerId Master<Message, M>::start(unsigned slot) {
    detail::Identity identity;
    identity.id = last_id_ + 1;
    identity.slot = slot;
    identity.master = ::getpid();
    identity.inherited = dispatcher_.inherited(slot);
    auto launched = detail::launch<Worker>(identity, slots_[slot]->assignment, options_, page_);
    const auto record = std::make_shared<Record>(context_.get_executor(), std::move(identity), std::move(launched),
                                                 ChannelLimits{.max_length = options_.max_message});
    last_id_ = record->id;
    slots_[slot]->occupied = true;
    records_[record->id] = record;
    enter(*record, WorkerState::forked);
    asio::co_spawn(context_, control(record), asio::detached);
    asio::co_spawn(context_, read_mail(record), asio::detached);
    asio::co_spawn(context_, await_exit(record), asio::detached);
    return record->id;
}

template <class Message, class M>
void Master<Message, M>::restart_later(unsigned slot, std::chrono::milliseconds delay) {
    ++coming_;
    const auto timer = std::make_shared<asio::steady_timer>(context_, delay);
    timer->async_wait([this, slot, timer, alive = alive_](std::error_code) {
        if (!*alive) return;
        --coming_;
        slots_[slot]->occupied = false;
        try {
            if (!stopping_) start(slot);
        } catch (const std::system_error& error) {
            std::cerr << "cohort: slot " << slot << ": " << error.what() << ", trying again" << std::endl;
            restart_later(slot, detail::RestartPolicy::delay);
        }
        notify_if_finished();
    });
    slots_[slot]->occupied = true;
}

// Watching

template <class Message, class M>
Task<> Master<Message, M>::control(RecordPtr record) {
    try {
        while (auto packet = co_await record->link->receive()) {
            if (record->abandoned) co_return;
            handle(*record, *packet);
        }
    } catch (const std::system_error& error) {
        if (!record->abandoned) break_off(*record, error.code());
    }
}

template <class Message, class M>
void Master<Message, M>::handle(Record& record, detail::Packet<detail::FromWorker>& packet) {
    using namespace detail;
    if (std::get_if<Online>(&packet.message)) return enter(record, WorkerState::online);
    if (const auto* m = std::get_if<Listen>(&packet.message)) return answer(record, *m);
    if (const auto* m = std::get_if<Unlisten>(&packet.message)) return dispatcher_.close(record, m->listener);
    if (const auto* m = std::get_if<Took>(&packet.message)) return dispatcher_.took(record, m->listener);
    if (const auto* m = std::get_if<Lost>(&packet.message))
        return dispatcher_.lost(record, m->listener, m->first, m->count);
    if (const auto* m = std::get_if<GivenBack>(&packet.message)) {
        for (auto& connection : packet.descriptors) dispatcher_.give_back(m->endpoint, std::move(connection));
        return;
    }
    if (const auto* m = std::get_if<SetupFailed>(&packet.message)) {
        record.error = {m->system_error, std::system_category()};
        std::cerr << "cohort: worker " << record.id << ": " << m->step << ": " << record.error.message() << std::endl;
        return;
    }
    ask_to_leave(record); // Leaving
}

template <class Message, class M>
Grant Master<Message, M>::open(Record& record, const Endpoint& endpoint) {
    Grant grant;
    try {
        grant = dispatcher_.open(record, endpoint);
    } catch (const std::system_error& error) {
        grant.error = error.code();
    }
    return grant;
}

template <class Message, class M>
void Master<Message, M>::answer(Record& record, const detail::Listen& request) {
    detail::Listening reply;
    reply.request = request.request;
    Grant grant;
    if (stopping_ || record.state == WorkerState::draining)
        grant.error = Errc::stopping;
    else
        grant = open(record, request.endpoint);
    if (grant.error) {
        reply.error = grant.error.value();
        reply.error_is_cohorts = grant.error.category() == error_category();
        record.link->send(reply);
        return;
    }
    reply.listener = grant.listener;
    reply.endpoint = grant.endpoint;
    if (std::erase(record.inherited, grant.descriptor) != 0) {
        reply.inherited = grant.descriptor;
        grant.descriptor = -1;
    }
    record.link->send(reply, std::span<const int>(&grant.descriptor, grant.descriptor >= 0 ? 1 : 0));
    record.listened = true;
    enter(record, WorkerState::listening, {.endpoint = grant.endpoint});
}

template <class Message, class M>
Task<> Master<Message, M>::read_mail(RecordPtr record) {
    try {
        co_await mailbox_.collect(record);
    } catch (const std::system_error& error) {
        if (!record->is_over()) break_off(*record, error.code());
    }
}

template <class Message, class M>
Task<> Master<Message, M>::await_exit(RecordPtr record) {
    std::optional<ExitStatus> status;
    while (!record->abandoned && !status) {
        std::error_code error;
        co_await record->pidfd.readable(error);
        if (!record->abandoned) status = detail::reap(record->pidfd.get());
    }
    if (status) on_exit(record, *status);
}

/// First what it said last, then that it is gone.
template <class Message, class M>
void Master<Message, M>::on_exit(const RecordPtr& record, const ExitStatus& status) {
    try {
        while (auto packet = record->link->try_receive()) handle(*record, *packet);
        mailbox_.collect_last(record);
    } catch (const std::system_error& error) {
        record->error = error.code();
    }
    const auto lived = std::chrono::steady_clock::now() - record->born;
    Slot& slot = *slots_[record->slot];
    const auto restart = slot.policy.on_exit({.status = status,
                                              .voluntary = record->voluntary || stopping_,
                                              .listened = record->listened,
                                              .lived = std::chrono::duration_cast<std::chrono::milliseconds>(lived)});
    given_up_ = given_up_ || (slot.policy.has_given_up() && !record->voluntary);
    slot.occupied = false;
    record->grace.cancel();
    dispatcher_.leave(*record, restart.has_value());
    record->link->close();
    records_.erase(record->id);
    enter(*record, WorkerState::exited, {.status = status, .voluntary = record->voluntary, .error = record->error});
    record->drained.notify_all();
    if (restart) restart_later(record->slot, *restart);
    mailbox_.notify();
    worker_gone_.notify_all();
    notify_if_finished();
}

template <class Message, class M>
void Master<Message, M>::notify_if_finished() {
    if (!finished()) return;
    worker_gone_.notify_all();
    mailbox_.notify();
    events_.notify();
}

/// A worker that sends what no worker sends is not to be trusted with anything more.
template <class Message, class M>
void Master<Message, M>::break_off(Record& record, std::error_code error) {
    record.error = error;
    detail::send_signal(record.pidfd.get(), SIGKILL);
}

template <class Message, class M>
void Master<Message, M>::enter(Record& record, WorkerState state, Event details) {
    const bool again = state == WorkerState::listening && record.state == WorkerState::listening;
    if (state <= record.state && !again && state != WorkerState::forked) return;
    record.state = state;
    details.kind = state;
    details.worker = record.id;
    details.slot = record.slot;
    details.pid = record.pid;
    events_.add(std::move(details));
}

// Talking

template <class Message, class M>
typename Master<Message, M>::Record& Master<Message, M>::record(WorkerId worker) {
    const auto found = records_.find(worker);
    if (found == records_.end())
        throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(worker));
    return *found->second;
}

template <class Message, class M>
Task<> Master<Message, M>::broadcast(const ToWorker& message) {
    std::vector<Task<>> sends;
    for (const auto& [id, record] : records_)
        if (record->state != WorkerState::draining) sends.push_back(record->channel.send(message));
    const auto all = [](std::vector<Task<>> waits) -> Task<> {
        for (auto& wait : waits) {
            try {
                co_await std::move(wait);
            } catch (const std::system_error&) {
                // That worker has just died; its exit is an event of its own.
            }
        }
    };
    return all(std::move(sends));
}

template <class Message, class M>
Task<std::optional<Event>> Master<Message, M>::next_event() {
    if (!co_await detail::switched()) co_await asio::post(asio::use_awaitable);
    for (;;) {
        detail::throw_if_cancelled(co_await asio::this_coro::cancellation_state);
        if (auto event = events_.next()) co_return event;
        if (finished()) co_return std::nullopt;
        co_await events_.wait();
    }
}

template <class Message, class M>
Task<std::optional<typename Master<Message, M>::Mail>> Master<Message, M>::receive() {
    if (!co_await detail::switched()) co_await asio::post(asio::use_awaitable);
    for (;;) {
        detail::throw_if_cancelled(co_await asio::this_coro::cancellation_state);
        auto letter = mailbox_.next([this](Record& record, std::error_code error) {
            if (!record.is_over()) break_off(record, error);
        });
        if (letter) co_return Mail{letter->first, std::move(letter->second)};
        if (finished()) co_return std::nullopt;
        co_await mailbox_.wait();
    }
}

template <class Message, class M>
std::vector<WorkerInfo> Master<Message, M>::workers() const {
    std::vector<WorkerInfo> result;
    for (const auto& [id, record] : records_) result.push_back(record->info());
    return result;
}

// Ending

template <class Message, class M>
void Master<Message, M>::ask_to_leave(Record& record) {
    if (record.state == WorkerState::draining) return;
    record.voluntary = true;
    enter(record, WorkerState::draining);
    dispatcher_.drain(record);
    record.link->send(detail::Stop{});
    record.channel.finish();
    record.grace.expires_after(options_.grace);
    record.grace.async_wait([record = records_.at(record.id)](std::error_code error) {
        if (!error && !record->abandoned) detail::send_signal(record->pidfd.get(), SIGKILL);
    });
}

template <class Message, class M>
void Master<Message, M>::kill(WorkerId worker, int signal) {
    Record& target = record(worker);
    const bool ends = signal == SIGTERM || signal == SIGKILL || signal == SIGINT || signal == SIGQUIT;
    target.voluntary = target.voluntary || ends;
    if (const auto error = detail::send_signal(target.pidfd.get(), signal)) throw std::system_error(error, "kill");
}

template <class Message, class M>
Task<> Master<Message, M>::stop() {
    if (!std::exchange(stopping_, true)) {
        dispatcher_.stop();
        for (const auto& [id, record] : std::map(records_)) ask_to_leave(*record);
        notify_if_finished();
    }
    return until_gone();
}

template <class Message, class M>
Task<> Master<Message, M>::until_gone() {
    while (!records_.empty()) co_await worker_gone_.wait();
}

template <class Message, class M>
Task<> Master<Message, M>::until_finished() {
    while (!finished()) co_await worker_gone_.wait();
}

template <class Message, class M>
void Master<Message, M>::kill_all() {
    stopping_ = true;
    for (const auto& [id, record] : records_) {
        record->voluntary = true;
        detail::send_signal(record->pidfd.get(), SIGKILL);
    }
}

} // namespace cohort
