// SPDX-License-Identifier: MIT
// Supervisor: all of a master that does not depend on its messages and its mode (layer 4).
#pragma once

#include <cohort/detail/any_dispatcher.hpp>
#include <cohort/detail/call_pool.hpp>
#include <cohort/detail/caretaker.hpp>
#include <cohort/detail/crew.hpp>
#include <cohort/detail/departures.hpp>
#include <cohort/detail/front_desk.hpp>
#include <cohort/detail/hook_calls.hpp>
#include <cohort/detail/load_watch.hpp>
#include <cohort/detail/staff.hpp>
#include <cohort/detail/succession.hpp>
#include <cohort/detail/successors.hpp>
#include <cohort/detail/tally.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

namespace cohort::detail {

/// Decides who is wanted, and has the others do it. Master documents what each of these is for; a program is compiled
/// faster for having them once.
class Supervisor {
public:
    using MakeDispatcher = std::unique_ptr<AnyDispatcher> (*)(DispatchContext);

    Supervisor(asio::io_context& context, Options options, Schemas schemas, MakeDispatcher make_dispatcher);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor();

    WorkerId spawn(Assignment assignment);
    Task<std::optional<Event>> next_event() { return crew_.next_event(); }
    void disconnect(WorkerId worker) { departures_.let_go(record(worker)); }
    void kill(WorkerId worker, int signal) { departures_.kill(record(worker), signal); }
    Task<ReloadReport> reload();
    Task<ReloadReport> upgrade();
    /// Begins when called.
    Task<> stop() {
        end_all(false);
        return until_gone();
    }
    void kill_all();
    Task<> until_finished() {
        while (!finished()) co_await worker_gone_.wait();
    }

    Staff& staff() noexcept { return staff_; }
    /// Until the last worker of this group has gone.
    Task<> until_gone(unsigned group);
    std::weak_ptr<bool> alive() const noexcept { return alive_; }

    std::vector<WorkerInfo> workers() const { return crew_.workers(); }
    Stats stats() const { return tally_.stats(); }
    SharedPage& page() noexcept { return page_; }
    bool has_given_up() const noexcept { return staff_.slots().has_given_up(); }
    bool stopping() const noexcept { return stopping_; }
    const Options& options() const noexcept { return options_; }
    asio::io_context& context() noexcept { return context_; }

    /// A worker, or the next master: a child of this process that is watched.
    bool is_watched(pid_t pid) const noexcept {
        const auto is_it = [pid](const auto& entry) { return entry.second->pid == pid; };
        return succession_.is_heir(pid) || std::ranges::any_of(records(), is_it);
    }
    /// The worker, or Errc::no_such_worker.
    WorkerRecord& record(WorkerId worker);
    const WorkerRecords& records() const noexcept { return crew_.records(); }

    Mailbox& mail() noexcept { return crew_.mail(); }
    CallPool& pool() noexcept { return pool_; }
    Bus& bus() noexcept { return bus_; }

private:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    WorkerId start(unsigned slot);
    void release(unsigned slot);

    void handle(WorkerRecord& record, Packet<FromWorker>& packet);
    void on_exit(const RecordPtr& record, const ExitStatus& status);
    bool finished() const noexcept { return records().empty() && staff_.is_idle() && (stopping_ || crew_.has_begun()); }
    void notify_if_finished();
    void end_all(bool goes_on);
    bool all_ready() const;
    Task<> until_gone() {
        while (!records().empty()) co_await worker_gone_.wait();
    }

    asio::io_context& context_;
    Options options_;
    SharedPage page_;
    Ledger ledger_;
    Succession succession_;
    std::unique_ptr<AnyDispatcher> dispatcher_;
    Crew crew_;
    Tally tally_;
    Staff staff_;
    CallPool pool_;
    Bus bus_;
    FrontDesk desk_;
    Departures departures_;
    Successors successors_;
    Reloader reloader_;
    Caretaker caretaker_;
    LoadWatch load_watch_;
    Notifier worker_gone_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    bool stopping_ = false;
};

inline Supervisor::Supervisor(asio::io_context& context, Options options, Schemas schemas,
                              MakeDispatcher make_dispatcher)
    : context_(context),
      options_(std::move(options)),
      succession_(context, options_),
      dispatcher_(
          make_dispatcher(DispatchContext{context.get_executor(), page_, ledger_, options_, &succession_.listeners()})),
      crew_(context, options_, schemas, page_,
            {{[this](WorkerRecord& record, Packet<FromWorker>& packet) { handle(record, packet); },
              [this] { return dispatcher_->waiting() + succession_.waiting(); }},
             [this](const RecordPtr& record, const ExitStatus& status) { on_exit(record, status); },
             [this] { return finished(); }}),
      tally_(page_, crew_.records(), ledger_, *dispatcher_),
      staff_(context, options_, crew_.records(),
             {[this](unsigned slot) { return start(slot); },
              [this](unsigned slot) { return succession_.wanted_endpoints(slot); },
              [this](WorkerRecord& record) { departures_.ask_to_leave(record); },
              [this](WorkerId successor) { reloader_.forget(successor); },
              [this] { reloader_.interrupt(Errc::not_ready); }, [this](unsigned slot) { release(slot); },
              [this] { return stopping_; }, [this] { notify_if_finished(); }}),
      pool_(context.get_executor(), crew_.records(), options_.calls_per_worker, options_.queued_calls),
      bus_(context.get_executor(), {.max_length = options_.max_message}),
      desk_(*dispatcher_, bus_, crew_.records(), ledger_, succession_.datagrams()),
      departures_({crew_, staff_.slots(), *dispatcher_, desk_, bus_, succession_}, [this] { return stopping_; }),
      successors_(options_, crew_.records(), staff_.slots(),
                  {[this](unsigned slot) { return start(slot); },
                   [this](WorkerRecord& record) { departures_.ask_to_leave(record); }}),
      reloader_(context.get_executor(), successors_.actions()),
      caretaker_(context, options_, page_, crew_.records(), staff_.slots(),
                 [this](unsigned slot) { return reloader_.replace(slot, options_.boot_timeout); }),
      load_watch_(context, options_.autoscale,
                  {[this] { return staff_.count(); }, [this] { return static_cast<double>(stats().load()); },
                   [this](unsigned workers) {
                       // A slot that was given up is not tried again in this way.
                       if (workers < staff_.count() || !has_given_up()) staff_.scale(workers);
                   }}),
      worker_gone_(context.get_executor()) {
    if (pending_identity) return;
    dispatcher_->prepare();
    succession_.receive_connections(*dispatcher_, &can_take_back);
}

inline Supervisor::~Supervisor() {
    *alive_ = false;
    stopping_ = true;
}

// Starting

inline WorkerId Supervisor::spawn(Assignment assignment) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    live_if_started_as_worker(options_, assignment.make);
    const WorkerId worker = staff_.add(std::move(assignment));
    load_watch_.start();
    return worker;
}

inline WorkerId Supervisor::start(unsigned slot) {
    call_before_fork(options_.hooks, slot);
    const Assignment& assignment = staff_.slots()[slot].assignment;
    const WorkerId worker = crew_.start(slot, assignment, dispatcher_->inherited(slot));
    staff_.slots()[slot].occupied = true;
    caretaker_.watch();
    if (assignment.options.lifetime)
        crew_.after(worker, *assignment.options.lifetime, [this](WorkerRecord& record) { departures_.let_go(record); });
    return worker;
}

/// What is kept there for a next worker goes to others.
inline void Supervisor::release(unsigned slot) {
    Member nobody;
    nobody.slot = slot;
    dispatcher_->leave(nobody, staff_.slots().is_one_coming(records()));
    desk_.leave(nobody, false);
}

// Watching

inline void Supervisor::handle(WorkerRecord& record, Packet<FromWorker>& packet) {
    const auto step = desk_.handle(record, packet, stopping_);
    if (step && step->kind == WorkerState::draining) return departures_.let_go(record);
    if (step) crew_.enter(record, step->kind, *step);
    if (step && step->kind == WorkerState::online) pool_.grant();
    if (succession_.is_awaited() && all_ready()) succession_.tell_ready();
    if (record.reaped || !staff_.slots().is_ready(record, options_.readiness)) return;
    record.ready = true;
    reloader_.on_ready(record.id);
}

inline void Supervisor::on_exit(const RecordPtr& record, const ExitStatus& status) {
    const bool successor = staff_.on_exit(*record, status);
    dispatcher_->leave(*record, successor || staff_.slots().is_one_coming(records())); // ports belong to all slots
    desk_.leave(*record, successor);
    tally_.keep(*record);
    crew_.forget(*record);
    caretaker_.on_exit(record->id);
    const Event event = crew_.enter(*record, WorkerState::exited,
                                    {.status = status, .voluntary = record->voluntary, .error = record->error});
    record->drained.notify_all();
    reloader_.on_exit(record->id, status);
    staff_.follow_up(*record);
    call_on_exit(options_.hooks, event);
    crew_.mail().notify();
    worker_gone_.notify_all();
    notify_if_finished();
}

inline void Supervisor::notify_if_finished() {
    if (!finished()) return;
    succession_.finish();
    pool_.refuse_all(Errc::no_such_worker);
    bus_.finish(0);
    worker_gone_.notify_all();
    crew_.notify();
}

// Talking

inline WorkerRecord& Supervisor::record(WorkerId worker) {
    if (const auto found = crew_.find(worker)) return *found;
    throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(worker));
}

// Reloading

inline Task<ReloadReport> Supervisor::reload() {
    ReloadReport report;
    report.error = Errc::stopping;
    if (succession_.is_under_way()) report.error = Errc::reloading;
    if (stopping_ || succession_.is_under_way()) co_return report;
    const Reloader::ListSlots slots = [this] { return successors_.replaceable(); };
    report = co_await reloader_.reload(slots, options_);
    co_return report;
}

/// Also of a worker that has just been started.
inline bool Supervisor::all_ready() const {
    const auto is_ready = [this](const auto& any) { return staff_.slots().is_ready(*any.second, options_.readiness); };
    return staff_.is_idle() && std::ranges::all_of(records(), is_ready);
}

inline Task<ReloadReport> Supervisor::upgrade() {
    ReloadReport report;
    if (stopping_)
        report.error = Errc::stopping;
    else if (succession_.is_under_way() || reloader_.is_under_way())
        report.error = Errc::reloading;
    else if (::getpid() == 1) // its end is the end of all
        report.error = std::make_error_code(std::errc::operation_not_supported);
    if (report.error) co_return report;
    report = co_await succession_.pass_on(*dispatcher_, desk_, records());
    if (report) end_all(true);
    co_return report;
}

// Ending

inline Task<> Supervisor::until_gone(unsigned group) {
    const auto is_its = [group](const auto& entry) { return entry.second->group == group; };
    while (std::ranges::any_of(records(), is_its)) co_await worker_gone_.wait();
}

inline void Supervisor::end_all(bool goes_on) {
    if (std::exchange(stopping_, true)) return;
    reloader_.fail(Errc::stopping);
    succession_.fail(Errc::stopping);
    load_watch_.stop();
    staff_.stop();
    dispatcher_->stop(goes_on);
    desk_.stop();
    for (const auto& [id, record] : WorkerRecords(records())) departures_.ask_to_leave(*record);
    pool_.refuse_all(Errc::stopping);
    notify_if_finished();
}

inline void Supervisor::kill_all() {
    stopping_ = true;
    reloader_.fail(Errc::stopping);
    staff_.stop();
    departures_.kill_all();
    notify_if_finished();
}

} // namespace cohort::detail
