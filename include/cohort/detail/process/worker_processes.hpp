// SPDX-License-Identifier: MIT
// WorkerProcesses: the processes of a master, from their start to their last word (layer 4).
#pragma once

#include <cohort/detail/policy/liveness_policy.hpp>
#include <cohort/detail/process/control_reader.hpp>
#include <cohort/detail/process/event_log.hpp>
#include <cohort/detail/process/mailbox.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/detail/worker/abort_report.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace cohort::detail {

/// What the master sends and what it receives.
struct Schemas {
    Schema outgoing;
    Schema incoming;
};

/// Starts them, listens to them and knows when they have ended. Who is wanted, and for how long, is decided elsewhere.
class WorkerProcesses {
public:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    struct Owner {
        ControlReader::Owner hearing;
        std::function<void(const RecordPtr&, const ExitStatus&)> on_exit; ///< its last messages are in
        std::function<bool()> finished;                                   ///< nobody will come any more
    };

    WorkerProcesses(asio::io_context& context, const Options& options, Schemas schemas, SharedPage& page, Owner owner);
    WorkerProcesses(const WorkerProcesses&) = delete;
    WorkerProcesses& operator=(const WorkerProcesses&) = delete;
    /// Kills those that are left.
    ~WorkerProcesses();

    /// `inherited`: the listening descriptors that the process keeps. Throws what launch() does.
    WorkerId start(unsigned slot, const WorkerSpec& assignment, std::vector<int> inherited);
    /// Has the process killed when it has not ended by itself within Options::grace.
    void limit(WorkerRecord& record);
    /// A worker that sends what no worker sends is not to be trusted with anything more.
    void break_off(WorkerRecord& record, std::error_code error);
    /// The process is gone and so is all that was kept for it.
    void forget(WorkerRecord& record);

    /// Calls back in so much time, unless the worker has gone by then or is limited.
    void after(WorkerId worker, std::chrono::milliseconds time, std::function<void(WorkerRecord&)> action);

    /// Adds the step to the events, once. Gives it with all that it says.
    Event enter(WorkerRecord& record, WorkerState state, Event details = {});
    Task<std::optional<Event>> next_event();
    /// Whoever waits for events or messages looks again whether any will come.
    void notify() {
        mailbox_.notify();
        events_.notify();
    }

    const WorkerRecords& records() const noexcept { return records_; }
    /// The worker, or nothing.
    RecordPtr find(WorkerId worker) const {
        const auto found = records_.find(worker);
        return found == records_.end() ? nullptr : found->second;
    }
    std::vector<WorkerInfo> workers() const {
        std::vector<WorkerInfo> result;
        for (const auto& [id, record] : records_) result.push_back(record->info());
        return result;
    }
    Mailbox& mail() noexcept { return mailbox_; }
    /// Somebody has been started, at any time.
    bool has_begun() const noexcept { return last_id_ != 0; }

private:
    Task<> hear(RecordPtr record);
    Task<> read_mail(RecordPtr record);
    Task<> await_exit(RecordPtr record);

    asio::io_context& context_;
    const Options& options_;
    Schemas schemas_;
    SharedPage& page_;
    Owner owner_;
    WorkerRecords records_;
    ControlReader control_reader_;
    Mailbox mailbox_;
    EventLog events_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    WorkerId last_id_ = 0;
};

inline WorkerProcesses::WorkerProcesses(asio::io_context& context, const Options& options, Schemas schemas,
                                        SharedPage& page, Owner owner)
    : context_(context),
      options_(options),
      schemas_(schemas),
      page_(page),
      owner_(std::move(owner)),
      control_reader_(context, options.grace, owner_.hearing),
      mailbox_(context.get_executor(), {owner_.finished,
                                        [this](WorkerRecord& record, std::error_code error) {
                                            if (!record.is_over()) break_off(record, error);
                                        }}),
      events_(context.get_executor()) {
    AbortReport::prepare();
}

inline WorkerProcesses::~WorkerProcesses() {
    *alive_ = false;
    for (const auto& [id, record] : records_) {
        record->abandoned = true;
        send_signal(record->pidfd.get(), SIGKILL);
        if (record->kill_group) ::kill(-record->pid, SIGKILL);
        reap(record->pidfd.get(), true);
        record->pidfd.cancel();
        record->grace.cancel();
        record->link->close();
        record->messages->abort();
        record->drained.notify_all();
    }
}

inline WorkerId WorkerProcesses::start(unsigned slot, const WorkerSpec& assignment, std::vector<int> inherited) {
    Identity identity;
    identity.id = last_id_ + 1;
    identity.slot = slot;
    identity.master = ::getpid();
    identity.inherited = std::move(inherited);
    identity.dumpable = assignment.options.dumpable;
    identity.cell = page_.acquire_worker();
    WorkerCell& chosen = page_.worker(identity.cell);
    chosen.limit.store(options_.connections_per_worker, std::memory_order_relaxed);
    chosen.beat_interval.store(beat_interval(options_.liveness), std::memory_order_relaxed);
    const auto release = [this](const std::uint32_t* cell) { page_.release_worker(*cell); };
    std::unique_ptr<const std::uint32_t, decltype(release)> cell(&identity.cell, release);
    auto launched = launch(identity, assignment, options_, page_);
    auto messages = MessageStream::open(
        context_.get_executor(), std::make_unique<Transport>(context_.get_executor(), std::move(launched.channel)),
        {.max_length = options_.max_message}, schemas_.outgoing, schemas_.incoming);
    const auto record = std::make_shared<WorkerRecord>(context_.get_executor(), std::move(identity),
                                                       std::move(launched), std::move(messages));
    [[maybe_unused]] const auto* const kept = cell.release();
    record->group = assignment.group;
    record->stop_signal = assignment.options.stop_signal;
    record->kill_group = assignment.options.kill_group;
    last_id_ = record->id;
    records_[record->id] = record;
    enter(*record, WorkerState::forked);
    // Later: the process may already have said something, or ended, and who has started it does not know its id yet.
    asio::post(context_, [this, record, alive = alive_] {
        if (!*alive) return;
        asio::co_spawn(context_, hear(record), asio::detached);
        asio::co_spawn(context_, read_mail(record), asio::detached);
        asio::co_spawn(context_, await_exit(record), asio::detached);
    });
    return record->id;
}

inline Task<> WorkerProcesses::hear(RecordPtr record) {
    try {
        co_await control_reader_.listen(record);
    } catch (const std::system_error& error) {
        if (!record->abandoned) break_off(*record, error.code());
    }
}

inline Task<> WorkerProcesses::read_mail(RecordPtr record) {
    try {
        co_await mailbox_.collect(record);
    } catch (const std::system_error& error) {
        if (!record->is_over()) break_off(*record, error.code());
    }
}

inline Task<> WorkerProcesses::await_exit(RecordPtr record) {
    std::optional<ExitStatus> status;
    while (!record->abandoned && !status) {
        std::error_code error;
        co_await record->pidfd.readable(error);
        if (record->abandoned) co_return;
        // Not reaped yet, so the number is still its own.
        if (record->kill_group && has_ended(record->pidfd.get())) ::kill(-record->pid, SIGKILL);
        status = reap(record->pidfd.get());
    }
    if (!status) co_return;
    record->reaped = true;
    // First what it said last, then that it is gone.
    try {
        co_await control_reader_.finish(record);
        if (!record->abandoned) mailbox_.collect_last(record);
    } catch (const std::system_error& error) {
        record->error = error.code();
    }
    if (!record->abandoned) owner_.on_exit(record, *status);
}

inline void WorkerProcesses::forget(WorkerRecord& record) {
    record.grace.cancel();
    page_.release_worker(record.cell);
    record.link->close();
    records_.erase(record.id);
}

inline void WorkerProcesses::limit(WorkerRecord& record) {
    record.grace.expires_after(options_.grace);
    record.grace.async_wait([record = records_.at(record.id)](std::error_code error) {
        if (!error && !record->abandoned) send_signal(record->pidfd.get(), SIGKILL);
    });
}

inline void WorkerProcesses::after(WorkerId worker, std::chrono::milliseconds time,
                                   std::function<void(WorkerRecord&)> action) {
    const auto& record = records_.at(worker);
    record->grace.expires_after(time);
    record->grace.async_wait([record, action = std::move(action)](std::error_code error) {
        if (!error && !record->is_over()) action(*record);
    });
}

inline void WorkerProcesses::break_off(WorkerRecord& record, std::error_code error) {
    record.error = error;
    send_signal(record.pidfd.get(), SIGKILL);
}

inline Event WorkerProcesses::enter(WorkerRecord& record, WorkerState state, Event details) {
    const bool again = state == WorkerState::listening && record.state == WorkerState::listening;
    if (state <= record.state && !again && state != WorkerState::forked) return details;
    record.state = state;
    details.kind = state;
    details.worker = record.id;
    details.slot = record.slot;
    details.pid = record.pid;
    events_.add(details);
    return details;
}

inline Task<std::optional<Event>> WorkerProcesses::next_event() {
    const bool steady = co_await switched();
    if (!steady) co_await asio::post(asio::use_awaitable);
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (auto event = events_.next()) co_return event;
        if (owner_.finished()) co_return std::nullopt;
        co_await events_.wait();
    }
}

} // namespace cohort::detail
