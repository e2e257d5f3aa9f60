// SPDX-License-Identifier: MIT
// The bodies of worker_processes.hpp (layer 4).
#pragma once

#include <cohort/detail/process/worker_processes.hpp>

#include <cohort/detail/channel/transport.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/policy/liveness_policy.hpp>
#include <cohort/detail/system/slot_cgroup.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <span>
#include <utility>

namespace cohort::detail {

COHORT_DECL std::vector<WorkerInfo> WorkerProcesses::workers() const {
    std::vector<WorkerInfo> result;
    for (const auto& [id, record] : records_) result.push_back(record->info());
    return result;
}

COHORT_DECL WorkerProcesses::WorkerProcesses(asio::io_context& context, const Options& options, Schemas schemas,
                                             SharedPage& page, LogService* logs, Owner& owner)
    : context_(context),
      options_(options),
      schemas_(schemas),
      page_(page),
      logs_(logs),
      owner_(owner),
      control_reader_(context, options.grace, owner),
      mailbox_(context.get_executor(), *this),
      events_(context.get_executor(), 4096),
      history_(context.get_executor(), 1024),
      send_parts_later_(context.get_executor()),
      reap_later_(context.get_executor()) {
    AbortReport::prepare();
}

COHORT_DECL WorkerProcesses::~WorkerProcesses() {
    events_.close();
    history_.close();
    mailbox_.close();
    for (const auto& [id, record] : records_) {
        record->abandoned = true;
        if (::getpid() != process_) continue; // in a forked copy of the master
        if (!record->outlives_master) {
            send_signal(record->pidfd.get(), SIGKILL);
            if (record->kill_group) ::kill(-record->pid, SIGKILL);
            reap(record->pidfd.get(), true);
        }
        record->pidfd.cancel();
        record->grace.cancel();
        record->link->close();
        record->messages->abort();
        record->drained.notify_all();
    }
}

COHORT_DECL WorkerId WorkerProcesses::start(Place place, const WorkerSpec& assignment) {
    Identity identity;
    identity.id = last_id_ + 1;
    identity.slot = place.slot;
    identity.master = ::getpid();
    identity.inherited = std::move(place.inherited);
    identity.generation = place.generation;
    identity.dumpable = assignment.options.dumpable;
    identity.cell = page_.acquire_worker(identity.id, place.slot, options_.spawn == Spawn::exec);
    WorkerCell& chosen = page_.worker(identity.cell);
    chosen.limit.store(options_.connections_per_worker, std::memory_order_relaxed);
    chosen.beat_interval.store(beat_interval(options_.liveness), std::memory_order_relaxed);
    const auto release = [this](const std::uint32_t* cell) { page_.release_worker(*cell); };
    std::unique_ptr<const std::uint32_t, decltype(release)> cell(&identity.cell, release);
    if (options_.spawn == Spawn::fork) {
        for (const auto& [id, other] : records_) show_part(identity.id, identity.cell, *other);
        send_parts();
        page_.forget_descriptor(identity.cell);
    }
    auto launched = launch_captured(identity, assignment);
    auto messages = MessageStream::open(
        context_.get_executor(), std::make_unique<Transport>(context_.get_executor(), std::move(launched.channel)),
        {.max_length = options_.max_message}, schemas_.outgoing, schemas_.incoming);
    const auto record =
        share<WorkerRecord>(context_.get_executor(), std::move(identity), std::move(launched), std::move(messages));
    [[maybe_unused]] const auto* const kept = cell.release();
    record->group = assignment.group;
    record->generation = place.generation;
    record->other_user = assignment.options.uid.value_or(::geteuid()) != ::geteuid() ||
                         assignment.options.gid.value_or(::getegid()) != ::getegid();
    record->is_program = assignment.is_program();
    record->outlives_master = record->is_program && assignment.options.outlives_master;
    record->stop_signal = assignment.options.stop_signal;
    if (record->is_program && !record->stop_signal) record->stop_signal = SIGTERM;
    record->kill_group = assignment.options.kill_group;
    last_id_ = record->id;
    records_[record->id] = record;
    enter(*record, WorkerState::forked);
    // Later: the process may already have sent something, or ended, before the caller knows its id.
    spawn(context_.get_executor(), begin(record));
    return record->id;
}

/// With pipes for what it writes, if that is wanted.
COHORT_DECL Launched WorkerProcesses::launch_captured(const Identity& identity, WorkerSpec assignment) {
    WorkerPipes pipes;
    if (logs_ != nullptr) pipes = LogService::open_pipes(assignment.options);
    Launched launched = launch(identity, assignment, options_, page_);
    if (logs_ != nullptr) logs_->capture(identity.id, identity.slot, std::move(pipes));
    return launched;
}

COHORT_DECL void WorkerProcesses::show_part(WorkerId worker, std::uint32_t cell, WorkerRecord& other) const {
    if (auto memory = page_.sealed(cell)) other.to_show.push_back({cell, worker, std::move(memory)});
}

COHORT_DECL void WorkerProcesses::show_parts(WorkerRecord& record) {
    if (options_.spawn == Spawn::fork) return;
    for (const auto& [id, other] : records_) {
        if (id == record.id || other->state < WorkerState::online) continue;
        show_part(record.id, record.cell, *other);
        show_part(id, other->cell, record);
    }
    send_parts();
}

/// One that does not read gets them when it does.
COHORT_DECL void WorkerProcesses::send_parts() {
    bool all = true;
    for (const auto& [id, record] : records_) all = send_parts_to(*record) && all;
    if (!all)
        send_parts_later_.expire_after(std::chrono::milliseconds(100), action<&WorkerProcesses::send_parts>(this));
}

/// Keeps few descriptors in the link: each is one more of this process, and so many workers may not read.
COHORT_DECL bool WorkerProcesses::send_parts_to(WorkerRecord& record) const {
    constexpr rlim_t for_others = 16;
    const auto is_gone = [this](WorkerId id) { return id <= last_id_ && !records_.contains(id); };
    std::erase_if(record.to_show, [&](const PartToShow& part) { return is_gone(part.worker); });
    auto next = record.to_show.begin();
    for (; next != record.to_show.end() && record.link->all_sent() && can_open(for_others); ++next) {
        const int memory = next->memory->get();
        record.link->send(PartOfWorker{next->cell, next->worker}, std::span(&memory, 1));
    }
    record.to_show.erase(record.to_show.begin(), next);
    return record.to_show.empty();
}

COHORT_DECL Task<> WorkerProcesses::begin(RecordPtr record) {
    co_await asio::post(asio::use_awaitable);
    // What is here already may be received at once, by a program that then destroys its master.
    if (!record->abandoned) spawn(context_.get_executor(), hear(record));
    if (!record->abandoned) spawn(context_.get_executor(), read_mail(record));
    if (!record->abandoned) spawn(context_.get_executor(), await_exit(record));
}

COHORT_DECL Task<> WorkerProcesses::hear(RecordPtr record) {
    try {
        co_await control_reader_.listen(record);
        // execve(2) has closed the link, which says so otherwise before it ends.
        const bool may_run = record->is_program && !record->is_over() && !record->error;
        if (may_run && !has_ended(record->pidfd.get())) owner_.on_executed(*record);
    } catch (const std::system_error& error) {
        if (!record->abandoned) break_off(*record, error.code());
    }
}

COHORT_DECL Task<> WorkerProcesses::read_mail(RecordPtr record) {
    try {
        co_await mailbox_.collect(record);
    } catch (const std::system_error& error) {
        if (!record->is_over()) break_off(*record, error.code());
    }
}

COHORT_DECL Task<> WorkerProcesses::await_exit(RecordPtr record) {
    std::optional<ExitStatus> status;
    while (!record->abandoned && !status) {
        std::error_code error;
        co_await record->pidfd.readable(error);
        if (record->abandoned) co_return;
        // Not reaped yet, so the number is still its own.
        if (record->kill_group && has_ended(record->pidfd.get())) ::kill(-record->pid, SIGKILL);
        status = reap(record->pidfd.get());
        if (!status && has_ended(record->pidfd.get())) status = leave_to_tracer(*record);
    }
    if (!status) co_return;
    record->reaped = true;
    if (logs_ != nullptr) logs_->worker_ended(record->id);
    // Its last messages come first, then its exit.
    try {
        co_await control_reader_.finish(record);
        if (!record->abandoned) mailbox_.collect_last(record);
    } catch (const std::system_error& error) {
        record->error = error.code();
    }
    if (!record->abandoned) owner_.on_exit(record, *status);
}

/// Its end is seen, but its status goes to its tracer first, and to this process when that lets it go (ptrace(2)): any
/// orphan of a worker may be one.
COHORT_DECL ExitStatus WorkerProcesses::leave_to_tracer(const WorkerRecord& record) {
    try {
        traced_.push_back(duplicate(record.pidfd.get()));
        reap_traced();
    } catch (const std::exception&) {
        // No descriptor, or no memory, is left: it stays a zombie.
    }
    return ExitStatus::unknown();
}

COHORT_DECL void WorkerProcesses::reap_traced() {
    std::erase_if(traced_, [](const UniqueFd& pidfd) { return reap(pidfd.get()).has_value(); });
    if (!traced_.empty())
        reap_later_.expire_after(std::chrono::seconds(1), action<&WorkerProcesses::reap_traced>(this));
}

COHORT_DECL bool WorkerProcesses::is_serving() const {
    return std::ranges::any_of(records_, [](const auto& each) { return each.second->messages->is_serving(); });
}

COHORT_DECL void WorkerProcesses::on_bad_message(WorkerRecord& record, std::error_code error) {
    if (!record.is_over()) break_off(record, error);
}

COHORT_DECL void WorkerProcesses::forget(WorkerRecord& record) {
    record.grace.cancel();
    page_.release_worker(record.cell);
    record.link->close();
    remove_slot_cgroup(record.slot);
    records_.erase(record.id);
}

COHORT_DECL void WorkerProcesses::limit(WorkerRecord& record) {
    record.grace.expire_after(options_.grace, action<&WorkerRecord::kill>(&record, records_.at(record.id)));
}

COHORT_DECL void WorkerProcesses::limit_lifetime(WorkerId worker, std::chrono::milliseconds time,
                                                 std::function<void(WorkerRecord&)> at_end) {
    const auto& record = records_.at(worker);
    record->at_end_of_lifetime = std::move(at_end);
    record->grace.expire_after(time, action<&WorkerRecord::end_lifetime>(record.get(), record));
}

COHORT_DECL void WorkerProcesses::break_off(WorkerRecord& record, std::error_code error) {
    record.error = error;
    send_signal(record.pidfd.get(), SIGKILL);
}

COHORT_DECL Event WorkerProcesses::enter(WorkerRecord& record, WorkerState state, Event details) {
    const bool again = state == WorkerState::listening && record.state == WorkerState::listening;
    if (state <= record.state && !again && state != WorkerState::forked) return details;
    record.state = state;
    details.kind = state;
    details.worker = record.id;
    details.slot = record.slot;
    details.pid = record.pid;
    events_.add(details);
    history_.add(details);
    return details;
}

COHORT_LAZY COHORT_DECL Task<std::optional<Event>> WorkerProcesses::next_event() {
    const std::weak_ptr<bool> alive = alive_;
    const bool steady = co_await switched();
    if (!steady || events_.turn().is_over()) {
        co_await asio::post(asio::use_awaitable);
        throw_if_gone(alive);
        events_.turn().begin();
    }
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (auto event = events_.next()) co_return event;
        if (owner_.finished()) co_return std::nullopt;
        co_await events_.wait();
        throw_if_gone(alive);
        events_.turn().begin();
    }
}

} // namespace cohort::detail
