// SPDX-License-Identifier: MIT
// Supervisor: all of a master that does not depend on its messages and its mode (layer 4).
#pragma once

#include <cohort/detail/any_dispatcher.hpp>
#include <cohort/detail/call_pool.hpp>
#include <cohort/detail/event_log.hpp>
#include <cohort/detail/front_desk.hpp>
#include <cohort/detail/launch.hpp>
#include <cohort/detail/mailbox.hpp>
#include <cohort/detail/reloader.hpp>
#include <cohort/detail/slots.hpp>
#include <cohort/detail/worker_record.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace cohort::detail {

/// What the master sends and what it receives.
struct Schemas {
    Schema outgoing;
    Schema incoming;
};

/// Master documents what each of these is for; a program is compiled faster for having them once.
class Supervisor {
public:
    using MakeDispatcher = std::unique_ptr<AnyDispatcher> (*)(DispatchContext);

    Supervisor(asio::io_context& context, Options options, Schemas schemas, MakeDispatcher make_dispatcher);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor();

    WorkerId spawn(Assignment assignment);
    Task<std::optional<Event>> next_event();
    void disconnect(WorkerId worker) { ask_to_leave(record(worker)); }
    void kill(WorkerId worker, int signal);
    Task<ReloadReport> reload();
    Task<> stop();
    void kill_all();
    Task<> until_finished();
    std::vector<WorkerInfo> workers() const;
    Stats stats();
    bool has_given_up() const noexcept { return slots_.has_given_up(); }
    bool stopping() const noexcept { return stopping_; }
    const Options& options() const noexcept { return options_; }
    asio::io_context& context() noexcept { return context_; }

    /// The worker, or Errc::no_such_worker.
    WorkerRecord& record(WorkerId worker);
    const WorkerRecords& records() const noexcept { return records_; }
    /// Waits for every one of them; workers that die meanwhile do no harm.
    static Task<> all(std::vector<Task<>> sends);

    Mailbox& mail() noexcept { return mailbox_; }
    CallPool& pool() noexcept { return pool_; }
    Bus& bus() noexcept { return bus_; }

private:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    WorkerId start(unsigned slot);
    WorkerId start_successor(unsigned slot);
    void take_over(WorkerId successor);
    void end_successor(WorkerId successor);
    void restart_later(unsigned slot, std::chrono::milliseconds delay);

    Task<> control(RecordPtr record);
    Task<> read_mail(RecordPtr record);
    Task<> await_exit(RecordPtr record);
    void handle(WorkerRecord& record, Packet<FromWorker>& packet);
    void on_exit(const RecordPtr& record, const ExitStatus& status);
    void break_off(WorkerRecord& record, std::error_code error);
    void ask_to_leave(WorkerRecord& record);
    void enter(WorkerRecord& record, WorkerState state, Event details = {});
    bool finished() const noexcept { return records_.empty() && coming_ == 0 && (stopping_ || last_id_ != 0); }
    void notify_if_finished();
    Task<> until_gone();

    asio::io_context& context_;
    Options options_;
    Schemas schemas_;
    SharedPage page_;
    Ledger ledger_;
    std::unique_ptr<AnyDispatcher> dispatcher_;
    Slots slots_;
    WorkerRecords records_;
    CallPool pool_;
    Bus bus_;
    FrontDesk desk_;
    Reloader reloader_;
    Mailbox mailbox_;
    EventLog events_;
    Notifier worker_gone_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    WorkerId last_id_ = 0;
    unsigned coming_ = 0; // successors that wait for their time
    bool stopping_ = false;
};

inline Supervisor::Supervisor(asio::io_context& context, Options options, Schemas schemas,
                              MakeDispatcher make_dispatcher)
    : context_(context),
      options_(std::move(options)),
      schemas_(schemas),
      dispatcher_(make_dispatcher(DispatchContext{context.get_executor(), page_, ledger_, options_})),
      pool_(context.get_executor(), records_, options_.calls_per_worker, options_.queued_calls),
      bus_(context.get_executor(), {.max_length = options_.max_message}),
      desk_(*dispatcher_, bus_, records_),
      reloader_(context.get_executor(), {[this](unsigned slot) { return start_successor(slot); },
                                         [this](WorkerId successor) { take_over(successor); },
                                         [this](WorkerId successor) { end_successor(successor); }}),
      mailbox_(context.get_executor(), {[this] { return finished(); },
                                        [this](WorkerRecord& record, std::error_code error) {
                                            if (!record.is_over()) break_off(record, error);
                                        }}),
      events_(context.get_executor()),
      worker_gone_(context.get_executor()) {
    if (!pending_identity) dispatcher_->prepare();
}

inline Supervisor::~Supervisor() {
    *alive_ = false;
    stopping_ = true;
    for (const auto& [id, record] : records_) {
        record->abandoned = true;
        send_signal(record->pidfd.get(), SIGKILL);
        reap(record->pidfd.get(), true);
        record->pidfd.cancel();
        record->grace.cancel();
        record->link->close();
        record->messages->abort();
        record->drained.notify_all();
    }
}

// Starting

inline WorkerId Supervisor::spawn(Assignment assignment) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    live_if_started_as_worker(options_, assignment.make);
    const unsigned slot = slots_.add(std::move(assignment), RestartPolicy(options_.restart, options_.backoff));
    return slots_[slot].current = start(slot);
}

inline WorkerId Supervisor::start(unsigned slot) {
    Identity identity;
    identity.id = last_id_ + 1;
    identity.slot = slot;
    identity.master = ::getpid();
    identity.inherited = dispatcher_->inherited(slot);
    identity.cell = page_.acquire_worker();
    page_.worker(identity.cell).limit.store(options_.connections_per_worker, std::memory_order_relaxed);
    const auto release = [this](const std::uint32_t* cell) { page_.release_worker(*cell); };
    std::unique_ptr<const std::uint32_t, decltype(release)> cell(&identity.cell, release);
    auto launched = launch(identity, slots_[slot].assignment, options_, page_);
    auto messages = MessageStream::open(
        context_.get_executor(), std::make_unique<Transport>(context_.get_executor(), std::move(launched.channel)),
        {.max_length = options_.max_message}, schemas_.outgoing, schemas_.incoming);
    const auto record = std::make_shared<WorkerRecord>(context_.get_executor(), std::move(identity),
                                                       std::move(launched), std::move(messages));
    [[maybe_unused]] const auto* const kept = cell.release();
    last_id_ = record->id;
    slots_[slot].occupied = true;
    records_[record->id] = record;
    enter(*record, WorkerState::forked);
    // Later: the process may already have said something, or ended, and who has started it does not know its id yet.
    asio::post(context_, [this, record, alive = alive_] {
        if (!*alive) return;
        asio::co_spawn(context_, control(record), asio::detached);
        asio::co_spawn(context_, read_mail(record), asio::detached);
        asio::co_spawn(context_, await_exit(record), asio::detached);
    });
    return record->id;
}

inline void Supervisor::restart_later(unsigned slot, std::chrono::milliseconds delay) {
    ++coming_;
    const auto timer = std::make_shared<asio::steady_timer>(context_, delay);
    timer->async_wait([this, slot, timer, alive = alive_](std::error_code) {
        if (!*alive) return;
        --coming_;
        Slot& place = slots_[slot];
        const bool vacant = place.is_vacant();
        if (vacant) place.occupied = false;
        try {
            if (vacant && !stopping_) place.current = start(slot);
        } catch (const std::system_error& error) {
            std::cerr << "cohort: slot " << slot << ": " << error.what() << ", trying again" << std::endl;
            restart_later(slot, options_.backoff.first);
        }
        notify_if_finished();
    });
    slots_[slot].occupied = true;
}

// Watching

inline Task<> Supervisor::control(RecordPtr record) {
    try {
        while (auto packet = co_await record->link->receive()) {
            if (record->abandoned) co_return;
            handle(*record, *packet);
            if (slots_.is_ready(*record, options_.readiness)) reloader_.on_ready(record->id);
        }
    } catch (const std::system_error& error) {
        if (!record->abandoned) break_off(*record, error.code());
    }
}

inline void Supervisor::handle(WorkerRecord& record, Packet<FromWorker>& packet) {
    const auto step = desk_.handle(record, packet, stopping_);
    if (step && step->kind == WorkerState::draining) return ask_to_leave(record);
    if (step) enter(record, step->kind, *step);
    if (step && step->kind == WorkerState::online) pool_.grant();
}

inline Task<> Supervisor::read_mail(RecordPtr record) {
    try {
        co_await mailbox_.collect(record);
    } catch (const std::system_error& error) {
        if (!record->is_over()) break_off(*record, error.code());
    }
}

inline Task<> Supervisor::await_exit(RecordPtr record) {
    std::optional<ExitStatus> status;
    while (!record->abandoned && !status) {
        std::error_code error;
        co_await record->pidfd.readable(error);
        if (!record->abandoned) status = reap(record->pidfd.get());
    }
    if (status) on_exit(record, *status);
}

/// First what it said last, then that it is gone.
inline void Supervisor::on_exit(const RecordPtr& record, const ExitStatus& status) {
    try {
        while (auto packet = record->link->try_receive()) handle(*record, *packet);
        mailbox_.collect_last(record);
    } catch (const std::system_error& error) {
        record->error = error.code();
    }
    const auto restart = slots_.on_exit(*record, status, record->voluntary || stopping_);
    record->grace.cancel();
    dispatcher_->leave(*record, slots_[record->slot].occupied);
    desk_.leave(*record, slots_[record->slot].occupied);
    ledger_[record->slot].accepted += page_.worker(record->cell).accepted.load(std::memory_order_relaxed);
    page_.release_worker(record->cell);
    record->link->close();
    records_.erase(record->id);
    enter(*record, WorkerState::exited, {.status = status, .voluntary = record->voluntary, .error = record->error});
    record->drained.notify_all();
    reloader_.on_exit(record->id, status);
    if (restart) restart_later(record->slot, *restart);
    mailbox_.notify();
    worker_gone_.notify_all();
    notify_if_finished();
}

inline void Supervisor::notify_if_finished() {
    if (!finished()) return;
    pool_.refuse_all(Errc::no_such_worker);
    bus_.finish(0);
    worker_gone_.notify_all();
    mailbox_.notify();
    events_.notify();
}

/// A worker that sends what no worker sends is not to be trusted with anything more.
inline void Supervisor::break_off(WorkerRecord& record, std::error_code error) {
    record.error = error;
    send_signal(record.pidfd.get(), SIGKILL);
}

inline void Supervisor::enter(WorkerRecord& record, WorkerState state, Event details) {
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

inline WorkerRecord& Supervisor::record(WorkerId worker) {
    const auto found = records_.find(worker);
    if (found == records_.end())
        throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(worker));
    return *found->second;
}

inline Task<std::optional<Event>> Supervisor::next_event() {
    const bool steady = co_await switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (auto event = events_.next()) co_return event;
        if (finished()) co_return std::nullopt;
        co_await events_.wait();
    }
}

inline Task<> Supervisor::all(std::vector<Task<>> sends) {
    for (auto& send : sends) {
        try {
            co_await std::move(send);
        } catch (const std::system_error&) {
            // That worker has just died; its exit is an event of its own.
        }
    }
}

inline std::vector<WorkerInfo> Supervisor::workers() const {
    std::vector<WorkerInfo> result;
    for (const auto& [id, record] : records_) result.push_back(record->info());
    return result;
}

inline Stats Supervisor::stats() {
    for (const auto& [id, record] : records_) ledger_[record->slot];
    Stats result;
    for (const auto& [slot, counted] : ledger_) {
        SlotStats& stats = result.slots.emplace_back(counted);
        stats.slot = slot;
        for (const auto& [id, record] : records_) {
            if (record->slot != slot) continue;
            const WorkerCell& cell = page_.worker(record->cell);
            stats.worker = id;
            stats.accepted += cell.accepted.load(std::memory_order_relaxed);
            stats.open += cell.open.load(std::memory_order_relaxed);
        }
    }
    result.queues = dispatcher_->queues();
    return result;
}

// Reloading

inline Task<ReloadReport> Supervisor::reload() {
    ReloadReport report;
    report.error = Errc::stopping;
    if (stopping_) co_return report;
    std::vector<unsigned> slots;
    for (const auto& [id, record] : records_)
        if (slots_.is_current(*record) && record->state != WorkerState::draining) slots.push_back(record->slot);
    report = co_await reloader_.run(std::move(slots), options_.reload_at_once, options_.boot_timeout);
    co_return report;
}

inline WorkerId Supervisor::start_successor(unsigned slot) {
    Slot& place = slots_[slot];
    const auto predecessor = records_.find(place.current);
    place.wanted_endpoints = predecessor == records_.end() ? 0 : predecessor->second->endpoints;
    return place.successor = start(slot);
}

inline void Supervisor::take_over(WorkerId successor) {
    const auto predecessor = records_.find(slots_.take_over(record(successor)));
    if (predecessor != records_.end()) ask_to_leave(*predecessor->second);
}

inline void Supervisor::end_successor(WorkerId successor) {
    WorkerRecord& unwanted = record(successor);
    unwanted.voluntary = slots_[unwanted.slot].current != 0; // else it was needed: the policy decides
    send_signal(unwanted.pidfd.get(), SIGKILL);
}

// Ending

inline void Supervisor::ask_to_leave(WorkerRecord& record) {
    if (record.state == WorkerState::draining) return;
    record.voluntary = true;
    enter(record, WorkerState::draining);
    dispatcher_->drain(record);
    record.link->send(Stop{});
    record.messages->end_messages();
    bus_.finish(record.id);
    record.grace.expires_after(options_.grace);
    record.grace.async_wait([record = records_.at(record.id)](std::error_code error) {
        if (!error && !record->abandoned) send_signal(record->pidfd.get(), SIGKILL);
    });
}

inline void Supervisor::kill(WorkerId worker, int signal) {
    WorkerRecord& target = record(worker);
    const bool ends = signal == SIGTERM || signal == SIGKILL || signal == SIGINT || signal == SIGQUIT;
    target.voluntary = target.voluntary || ends;
    if (const auto error = send_signal(target.pidfd.get(), signal)) throw std::system_error(error, "kill");
}

inline Task<> Supervisor::stop() {
    if (!std::exchange(stopping_, true)) {
        reloader_.fail(Errc::stopping);
        dispatcher_->stop();
        desk_.stop();
        for (const auto& [id, record] : std::map(records_)) ask_to_leave(*record);
        pool_.refuse_all(Errc::stopping);
        notify_if_finished();
    }
    return until_gone();
}

inline Task<> Supervisor::until_gone() {
    while (!records_.empty()) co_await worker_gone_.wait();
}

inline Task<> Supervisor::until_finished() {
    while (!finished()) co_await worker_gone_.wait();
}

inline void Supervisor::kill_all() {
    stopping_ = true;
    for (const auto& [id, record] : records_) {
        record->voluntary = true;
        send_signal(record->pidfd.get(), SIGKILL);
    }
}

} // namespace cohort::detail
