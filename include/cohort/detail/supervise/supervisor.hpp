// SPDX-License-Identifier: MIT
// Supervisor: all of a master that does not depend on its messages and its mode (layer 4).
#pragma once

#include <cohort/detail/listen/any_dispatcher.hpp>
#include <cohort/detail/process/control_service.hpp>
#include <cohort/detail/process/worker_processes.hpp>
#include <cohort/detail/reload/slot_replacer.hpp>
#include <cohort/detail/supervise/autoscale_loop.hpp>
#include <cohort/detail/supervise/call_pool.hpp>
#include <cohort/detail/supervise/health_monitor.hpp>
#include <cohort/detail/supervise/hooks.hpp>
#include <cohort/detail/supervise/slot_manager.hpp>
#include <cohort/detail/supervise/stats_collector.hpp>
#include <cohort/detail/supervise/worker_shutdown.hpp>
#include <cohort/detail/upgrade/master_upgrade.hpp>

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

    WorkerId spawn(WorkerSpec assignment);
    Task<std::optional<Event>> next_event() { return processes_.next_event(); }
    void disconnect(WorkerId worker) { worker_shutdown_.let_go(record(worker)); }
    void kill(WorkerId worker, int signal) { worker_shutdown_.kill(record(worker), signal); }
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

    SlotManager& slot_manager() noexcept { return slot_manager_; }
    /// Until the last worker of this group has gone.
    Task<> until_gone(unsigned group);
    std::weak_ptr<bool> alive() const noexcept { return alive_; }

    std::vector<WorkerInfo> workers() const { return processes_.workers(); }
    Stats stats() const { return stats_.stats(); }
    SharedPage& page() noexcept { return page_; }
    bool has_given_up() const noexcept { return slot_manager_.slots().has_given_up(); }
    bool stopping() const noexcept { return stopping_; }
    const Options& options() const noexcept { return options_; }
    asio::io_context& context() noexcept { return context_; }

    /// A worker, or the next master: a child of this process that is watched.
    bool is_watched(pid_t pid) const noexcept {
        const auto is_it = [pid](const auto& entry) { return entry.second->pid == pid; };
        return upgrade_.is_new_master(pid) || std::ranges::any_of(records(), is_it);
    }
    /// The worker, or Errc::no_such_worker.
    WorkerRecord& record(WorkerId worker);
    const WorkerRecords& records() const noexcept { return processes_.records(); }

    Mailbox& mail() noexcept { return processes_.mail(); }
    CallPool& pool() noexcept { return pool_; }
    Bus& bus() noexcept { return bus_; }

private:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    WorkerId start(unsigned slot);
    void release(unsigned slot);

    void handle(WorkerRecord& record, Packet<FromWorker>& packet);
    void on_exit(const RecordPtr& record, const ExitStatus& status);
    bool finished() const noexcept {
        return records().empty() && slot_manager_.is_idle() && (stopping_ || processes_.has_begun());
    }
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
    MasterUpgrade upgrade_;
    std::unique_ptr<AnyDispatcher> dispatcher_;
    WorkerProcesses processes_;
    StatsCollector stats_;
    SlotManager slot_manager_;
    CallPool pool_;
    Bus bus_;
    ControlService control_service_;
    WorkerShutdown worker_shutdown_;
    SlotReplacer slot_replacer_;
    Reloader reloader_;
    HealthMonitor health_monitor_;
    AutoscaleLoop autoscale_loop_;
    Notifier worker_gone_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    bool stopping_ = false;
};

inline Supervisor::Supervisor(asio::io_context& context, Options options, Schemas schemas,
                              MakeDispatcher make_dispatcher)
    : context_(context),
      options_(std::move(options)),
      upgrade_(context, options_),
      dispatcher_(
          make_dispatcher(DispatchContext{context.get_executor(), page_, ledger_, options_, &upgrade_.listeners()})),
      processes_(context, options_, schemas, page_,
                 {{[this](WorkerRecord& record, Packet<FromWorker>& packet) { handle(record, packet); },
                   [this] { return dispatcher_->waiting() + upgrade_.waiting(); }},
                  [this](const RecordPtr& record, const ExitStatus& status) { on_exit(record, status); },
                  [this] { return finished(); }}),
      stats_(page_, processes_.records(), ledger_, *dispatcher_),
      slot_manager_(context, options_, processes_.records(),
                    {[this](unsigned slot) { return start(slot); },
                     [this](unsigned slot) { return upgrade_.wanted_endpoints(slot); },
                     [this](WorkerRecord& record) { worker_shutdown_.ask_to_leave(record); },
                     [this](WorkerId successor) { reloader_.forget(successor); },
                     [this] { reloader_.interrupt(Errc::not_ready); }, [this](unsigned slot) { release(slot); },
                     [this] { return stopping_; }, [this] { notify_if_finished(); }}),
      pool_(context.get_executor(), processes_.records(), options_.calls_per_worker, options_.queued_calls),
      bus_(context.get_executor(), {.max_length = options_.max_message}),
      control_service_(*dispatcher_, bus_, processes_.records(), ledger_, upgrade_.datagrams()),
      worker_shutdown_({processes_, slot_manager_.slots(), *dispatcher_, control_service_, bus_, upgrade_},
                       [this] { return stopping_; }),
      slot_replacer_(options_, processes_.records(), slot_manager_.slots(),
                     {[this](unsigned slot) { return start(slot); },
                      [this](WorkerRecord& record) { worker_shutdown_.ask_to_leave(record); }}),
      reloader_(context.get_executor(), slot_replacer_.actions()),
      health_monitor_(context, options_, page_, processes_.records(), slot_manager_.slots(),
                      [this](unsigned slot) { return reloader_.replace(slot, options_.boot_timeout); }),
      autoscale_loop_(context, options_.autoscale,
                      {[this] { return slot_manager_.count(); }, [this] { return static_cast<double>(stats().load()); },
                       [this](unsigned workers) {
                           // A slot that was given up is not tried again in this way.
                           if (workers < slot_manager_.count() || !has_given_up()) slot_manager_.scale(workers);
                       }}),
      worker_gone_(context.get_executor()) {
    if (pending_identity) return;
    dispatcher_->prepare();
    upgrade_.receive_connections(*dispatcher_, &can_take_back);
}

inline Supervisor::~Supervisor() {
    *alive_ = false;
    stopping_ = true;
}

// Starting

inline WorkerId Supervisor::spawn(WorkerSpec assignment) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    run_if_started_as_worker(options_, assignment.make);
    const WorkerId worker = slot_manager_.add(std::move(assignment));
    autoscale_loop_.start();
    return worker;
}

inline WorkerId Supervisor::start(unsigned slot) {
    call_before_fork(options_.hooks, slot);
    const WorkerSpec& assignment = slot_manager_.slots()[slot].assignment;
    const WorkerId worker = processes_.start(slot, assignment, dispatcher_->inherited(slot));
    slot_manager_.slots()[slot].occupied = true;
    health_monitor_.watch();
    if (assignment.options.lifetime)
        processes_.after(worker, *assignment.options.lifetime,
                         [this](WorkerRecord& record) { worker_shutdown_.let_go(record); });
    return worker;
}

/// What is kept there for a next worker goes to others.
inline void Supervisor::release(unsigned slot) {
    DispatchTarget nobody;
    nobody.slot = slot;
    dispatcher_->leave(nobody, slot_manager_.slots().is_one_coming(records()));
    control_service_.leave(nobody, false);
}

// Watching

inline void Supervisor::handle(WorkerRecord& record, Packet<FromWorker>& packet) {
    const auto step = control_service_.handle(record, packet, stopping_);
    if (step && step->kind == WorkerState::draining) return worker_shutdown_.let_go(record);
    if (step) processes_.enter(record, step->kind, *step);
    if (step && step->kind == WorkerState::online) pool_.grant();
    if (upgrade_.is_awaited() && all_ready()) upgrade_.tell_ready();
    if (record.reaped || !slot_manager_.slots().is_ready(record, options_.readiness)) return;
    record.ready = true;
    reloader_.on_ready(record.id);
}

inline void Supervisor::on_exit(const RecordPtr& record, const ExitStatus& status) {
    const bool successor = slot_manager_.on_exit(*record, status);
    dispatcher_->leave(*record,
                       successor || slot_manager_.slots().is_one_coming(records())); // ports belong to all slots
    control_service_.leave(*record, successor);
    stats_.keep(*record);
    processes_.forget(*record);
    health_monitor_.on_exit(record->id);
    const Event event = processes_.enter(*record, WorkerState::exited,
                                         {.status = status, .voluntary = record->voluntary, .error = record->error});
    record->drained.notify_all();
    reloader_.on_exit(record->id, status);
    slot_manager_.follow_up(*record);
    call_on_exit(options_.hooks, event);
    processes_.mail().notify();
    worker_gone_.notify_all();
    notify_if_finished();
}

inline void Supervisor::notify_if_finished() {
    if (!finished()) return;
    upgrade_.finish();
    pool_.refuse_all(Errc::no_such_worker);
    bus_.finish(0);
    worker_gone_.notify_all();
    processes_.notify();
}

// Talking

inline WorkerRecord& Supervisor::record(WorkerId worker) {
    if (const auto found = processes_.find(worker)) return *found;
    throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(worker));
}

// Reloading

inline Task<ReloadReport> Supervisor::reload() {
    ReloadReport report;
    report.error = Errc::stopping;
    if (upgrade_.is_under_way()) report.error = Errc::reloading;
    if (stopping_ || upgrade_.is_under_way()) co_return report;
    const Reloader::ListSlots slots = [this] { return slot_replacer_.replaceable(); };
    report = co_await reloader_.reload(slots, options_);
    co_return report;
}

/// Also of a worker that has just been started.
inline bool Supervisor::all_ready() const {
    const auto is_ready = [this](const auto& any) {
        return slot_manager_.slots().is_ready(*any.second, options_.readiness);
    };
    return slot_manager_.is_idle() && std::ranges::all_of(records(), is_ready);
}

inline Task<ReloadReport> Supervisor::upgrade() {
    ReloadReport report;
    if (stopping_)
        report.error = Errc::stopping;
    else if (upgrade_.is_under_way() || reloader_.is_under_way())
        report.error = Errc::reloading;
    else if (::getpid() == 1) // its end is the end of all
        report.error = std::make_error_code(std::errc::operation_not_supported);
    if (report.error) co_return report;
    report = co_await upgrade_.pass_on(*dispatcher_, control_service_, records());
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
    upgrade_.fail(Errc::stopping);
    autoscale_loop_.stop();
    slot_manager_.stop();
    dispatcher_->stop(goes_on);
    control_service_.stop();
    for (const auto& [id, record] : WorkerRecords(records())) worker_shutdown_.ask_to_leave(*record);
    pool_.refuse_all(Errc::stopping);
    notify_if_finished();
}

inline void Supervisor::kill_all() {
    stopping_ = true;
    reloader_.fail(Errc::stopping);
    slot_manager_.stop();
    worker_shutdown_.kill_all();
    notify_if_finished();
}

} // namespace cohort::detail
