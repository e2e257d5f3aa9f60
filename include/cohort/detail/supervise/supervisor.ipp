// SPDX-License-Identifier: MIT
// The bodies of supervisor.hpp (layer 4).
#pragma once

#include <cohort/detail/supervise/supervisor.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/policy/option_faults.hpp>
#include <cohort/detail/policy/settings.hpp>
#include <cohort/detail/supervise/crash_reports.hpp>
#include <cohort/detail/supervise/hooks.hpp>
#include <cohort/detail/supervise/ongoing_requests.hpp>
#include <cohort/detail/system/process_start.hpp>
#include <cohort/detail/system/signals.hpp>
#include <cohort/detail/worker/identity.hpp>
#include <cohort/detail/worker/worker_title.hpp>

namespace cohort::detail {

COHORT_DECL Task<> Supervisor::until_finished() {
    const std::weak_ptr<bool> alive = lifetime();
    while (!alive.expired() && !finished()) co_await worker_gone_.wait();
}

COHORT_LAZY COHORT_DECL Task<> Supervisor::until_stopping() {
    const std::weak_ptr<bool> alive = lifetime();
    while (!alive.expired() && !stopping_ && !finished()) co_await worker_gone_.wait();
}

COHORT_DECL Task<> Supervisor::until_gone() {
    const std::weak_ptr<bool> alive = lifetime();
    while (!alive.expired() && !records().empty()) co_await worker_gone_.wait();
}

/// A program that was started as a worker is no master.
COHORT_DECL std::unique_ptr<LogService> open_logs(asio::io_context& context, const Options& options) {
    log_level = options.log_level; // the writer's, too
    if (!options.logs || pending_identity) return nullptr;
    return std::make_unique<LogService>(context.get_executor(), *options.logs);
}

COHORT_DECL Supervisor::Supervisor(asio::io_context& context, Options options, Schemas schemas,
                                   MakeDispatcher make_dispatcher)
    : context_(context),
      options_(consistent(std::move(options))),
      logs_(open_logs(context, options_)),
      upgrade_(context, options_),
      listener_store_(options_),
      service_(context.get_executor(), upgrade_.is_awaited(), *this),
      dispatcher_(
          make_dispatcher(DispatchContext{context.get_executor(), page_, ledger_, options_, &upgrade_.listeners()})),
      processes_(context, options_, schemas, page_, logs_.get(), *this),
      stats_(page_, processes_.records(), ledger_, *dispatcher_),
      slot_manager_(context.get_executor(), options_, processes_.records(), *this),
      pool_(share<CallPool>(context.get_executor(), processes_.records(), options_,
                            static_cast<CallPool::Owner&>(*this))),
      bus_(context.get_executor(), {.max_length = options_.max_message, .high_water = std::size_t{1} << 20}),
      control_service_(options_, *dispatcher_, bus_, processes_.records(), ledger_, upgrade_.datagrams()),
      worker_shutdown_({processes_, slot_manager_.slots(), *dispatcher_, control_service_, bus_, upgrade_}, stopping_),
      slot_replacer_(options_, processes_.records(), slot_manager_.slots(), *this),
      reloader_(context.get_executor(), slot_replacer_),
      health_monitor_(context.get_executor(), options_, page_, processes_.records(), slot_manager_.slots(), *this),
      autoscale_loop_(context.get_executor(), options_.autoscale, *this),
      worker_gone_(context.get_executor()),
      turn_(context.get_executor()) {
    if (pending_identity) return;
    open_standard_descriptors();
    keep_exit_statuses();
    pid_file_.open(options_.pid_file, upgrade_.take_pid_file()); // first of all: nothing is in a second instance's way
    show_as_master(options_.title, false);
    listener_store_.prepare(*dispatcher_, upgrade_.listeners(), upgrade_.is_awaited());
    upgrade_.receive_connections(*dispatcher_, &can_take_back, [this] { take_over(); });
    open_control();
}

COHORT_DECL Supervisor::~Supervisor() {
    stopping_ = true;
    if (control_) control_->close();
    reloader_.fail(Errc::stopping);
    upgrade_.fail(Errc::stopping);
    turn_.close();
    worker_gone_.close();
}

COHORT_DECL void Supervisor::take_over() {
    service_.take_over();
    pid_file_.take_over();
}

/// A new master accepts there when the one before leaves it to it, not before.
COHORT_DECL void Supervisor::open_control() {
    UniqueFd inherited = upgrade_.take_control(options_.control.path);
    if (options_.control.path.empty()) return;
    if (detail::open_control == nullptr)
        throw std::system_error(std::make_error_code(std::errc::operation_not_supported),
                                "Options::control: no source file of this program includes <cohort/control.hpp>");
    const bool follows = static_cast<bool>(inherited);
    control_ = detail::open_control(*this, std::move(inherited));
    if (!follows) control_->begin();
}

// Starting

COHORT_DECL WorkerId Supervisor::spawn(WorkerSpec spec) {
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping));
    if (spec.is_program() && pending_identity) return 0; // here a worker begins, when it is spawned
    if (!spec.is_program()) run_if_started_as_worker(options_, spec.make);
    const WorkerId worker = slot_manager_.add(std::move(spec));
    autoscale_loop_.start();
    return worker;
}

COHORT_DECL WorkerId Supervisor::start(unsigned slot) {
    call_before_fork(options_.hooks, slot);
    if (stopping_) throw std::system_error(make_error_code(Errc::stopping)); // by the hook
    const WorkerSpec& spec = slot_manager_.slots()[slot].assignment;
    const WorkerId worker = processes_.start({slot, dispatcher_->inherited(slot), generation_}, spec);
    slot_manager_.slots()[slot].occupied = true;
    health_monitor_.watch();
    service_.begin();
    if (spec.options.lifetime)
        processes_.limit_lifetime(worker, *spec.options.lifetime, [this](WorkerRecord& record) { let_go(record); });
    return worker;
}

/// What is kept there for a next worker goes to others.
COHORT_DECL void Supervisor::release(unsigned slot) {
    DispatchTarget nobody;
    nobody.slot = slot;
    dispatcher_->leave(nobody, slot_manager_.slots().is_one_coming(records()));
    control_service_.leave(nobody, false);
}

// Watching

COHORT_DECL void Supervisor::handle(WorkerRecord& record, Packet& packet) {
    if (packet.holds<Leaving>()) {
        const bool replace = packet.read<Leaving>().replace && options_.restart != Restart::temporary;
        worker_shutdown_.on_leaving(record, replace);
        return pool_->review();
    }
    const auto step = control_service_.handle(record, packet, stopping_);
    const bool comes_online = step && step->kind == WorkerState::online && record.state < step->kind;
    if (step) processes_.enter(record, step->kind, *step);
    if (comes_online) {
        processes_.show_parts(record);
        pool_->grant();
    }
    review(record);
}

COHORT_DECL void Supervisor::on_executed(WorkerRecord& record) {
    processes_.enter(record, WorkerState::online);
    review(record);
}

COHORT_DECL void Supervisor::announce(WorkerId worker) {
    WorkerRecord& one = record(worker);
    one.announced = true;
    review(one);
}

COHORT_DECL void Supervisor::review(WorkerRecord& record) {
    review_readiness();
    if (record.reaped || !slot_manager_.slots().is_ready(record, options_.readiness)) return;
    if (!std::exchange(record.ready, true)) service_.changed();
    reloader_.on_ready(record.id);
}

COHORT_DECL void Supervisor::on_exit(const RecordPtr& record, const ExitStatus& status) {
    const bool successor = slot_manager_.on_exit(*record, status);
    const WorkerOptions& options = slot_manager_.slots()[record->slot].assignment.options;
    const bool crashed = is_crash(*record, status, stopping_);
    const auto crash = crashed ? report_crash(*record, status, page_, logs_.get(), options) : nullptr;
    dispatcher_->leave(*record,
                       successor || slot_manager_.slots().is_one_coming(records())); // ports belong to all slots
    control_service_.leave(*record, successor);
    stats_.keep(*record);
    processes_.forget(*record);
    health_monitor_.on_exit(record->id);
    const Event event =
        processes_.enter(*record, WorkerState::exited,
                         {.status = status, .voluntary = record->voluntary, .error = record->error, .crash = crash});
    record->drained.notify_all();
    reloader_.on_exit(record->id, status);
    slot_manager_.follow_up(*record);
    page_.note_restarts(slot_manager_.slots().restarts());
    pool_->review();
    call_on_exit(options_.hooks, event);
    review_readiness();
    service_.changed();
    processes_.mail().notify();
    worker_gone_.notify_all();
    notify_if_finished();
}

COHORT_DECL void Supervisor::notify_if_finished() {
    if (!finished()) return;
    upgrade_.finish();
    pool_->review();
    processes_.mail().end();
    bus_.finish();
    if (control_ && stopping_) control_->finish();
    service_.finish();
    worker_gone_.notify_all();
    processes_.notify();
    if (logs_) logs_->rest(stopping_);
}

COHORT_DECL std::vector<RequestInfo> Supervisor::requests() { return ongoing_requests(records(), page_); }

// Talking

COHORT_DECL WorkerRecord& Supervisor::record(WorkerId worker) {
    if (const auto found = processes_.find(worker)) return *found;
    throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(worker));
}

// Reloading

COHORT_DECL Task<ReloadReport> Supervisor::change(CoalescedRequests& requests, Change carry_out) {
    const std::uint64_t request = requests.add();
    const std::weak_ptr<bool> alive = lifetime();
    if (&requests == &upgrades_) co_await upgrade_.until_alone();
    const bool may_begin = co_await turn_.wait();
    ReloadReport report;
    report.error = Errc::stopping;
    if (alive.expired()) co_return report;
    if (requests.is_served(request)) co_return requests.report();
    if (!may_begin) co_return report;
    const std::uint64_t last = requests.begin();
    service_.begin_change();
    Task<ReloadReport> work = (this->*carry_out)();
    try {
        report = co_await turn_.take(std::move(work));
    } catch (...) { // the caller has cancelled it
        if (!alive.expired()) service_.end_change({});
        throw;
    }
    if (alive.expired()) co_return report;
    requests.end(last, report);
    const char* const what = &requests == &upgrades_ ? "the upgrade failed: " : "the reload failed: ";
    service_.end_change(report ? "" : what + report.error.message());
    co_return report;
}

COHORT_DECL Task<ReloadReport> Supervisor::reload_now() {
    const std::weak_ptr<bool> alive = lifetime();
    page_.begin_generation(++generation_);
    ReloadReport report = co_await reloader_.reload(options_);
    if (!alive.expired()) page_.count_reload(static_cast<bool>(report));
    co_return report;
}

COHORT_DECL Task<ReloadReport> Supervisor::restart(WorkerId worker) {
    ReloadReport report;
    report.error = Errc::stopping;
    const bool may_begin = co_await turn_.wait();
    if (!may_begin) co_return report;
    Task<ReloadReport> work = restart_now(worker);
    report = co_await turn_.take(std::move(work));
    co_return report;
}

COHORT_DECL Task<ReloadReport> Supervisor::restart_now(WorkerId worker) {
    const std::weak_ptr<bool> alive = lifetime();
    ReloadReport report;
    report.error = Errc::stopping;
    co_await reloader_.until_idle();
    if (alive.expired()) co_return report;
    const WorkerRecord& old = record(worker);
    if (old.state >= WorkerState::draining || !slot_manager_.slots().is_current(old))
        throw std::system_error(make_error_code(Errc::no_such_worker), "worker " + std::to_string(worker));
    report = co_await reloader_.replace(old.slot, options_.boot_timeout);
    co_return report;
}

/// Also of a worker that has just been started.
COHORT_DECL bool Supervisor::all_ready() const {
    const auto is_ready = [this](const auto& any) {
        return slot_manager_.slots().is_ready(*any.second, options_.readiness);
    };
    return slot_manager_.is_idle() && std::ranges::all_of(records(), is_ready);
}

COHORT_DECL void Supervisor::review_readiness() {
    const bool is_awaited = upgrade_.is_awaited() || !service_.is_ready();
    if (!is_awaited || has_given_up() || records().empty() || !all_ready()) return;
    service_.become_ready();
    if (!upgrade_.is_awaited()) return;
    upgrade_.tell_ready();
    if (control_) control_->begin();
}

COHORT_DECL bool Supervisor::keep_listeners(const NotifySocket& manager) {
    return listener_store_.keep(dispatcher_->listeners(), manager);
}

COHORT_DECL WorkerCounts Supervisor::count_workers() const {
    return detail::count_workers(slot_manager_.slots(), records(), options_.readiness);
}

COHORT_DECL Task<ReloadReport> Supervisor::upgrade_now() {
    ReloadReport report;
    if (::getpid() == 1) { // its exit would end its whole PID namespace
        report.error = std::make_error_code(std::errc::operation_not_supported);
        co_return report;
    }
    if (own_arguments().empty()) {
        log_line(LogLevel::warning, "upgrade: without /proc the arguments of this program are not known");
        report.error = std::make_error_code(std::errc::operation_not_supported);
        co_return report;
    }
    const std::weak_ptr<bool> alive = lifetime();
    co_await reloader_.until_idle();
    if (alive.expired() || stopping_) {
        report.error = Errc::stopping;
        co_return report;
    }
    if (control_) upgrade_.offer_control(options_.control.path, control_->listener());
    upgrade_.offer_pid_file(pid_file_.path(), pid_file_.descriptor());
    report = co_await upgrade_.pass_on(*dispatcher_, control_service_, records());
    if (!report) co_return report;
    if (control_) control_->pass_on();
    service_.hand_over(upgrade_.successor());
    pid_file_.leave();
    show_as_master(options_.title, true);
    upgrade_.hand_over();
    end_all(true);
    co_return report;
}

/// A slot that was given up is not tried again in this way.
COHORT_DECL void Supervisor::scale_to(unsigned workers) {
    if (workers < slot_manager_.count() || !has_given_up()) slot_manager_.scale(workers);
}

COHORT_DECL void Supervisor::set(const Settings& settings) {
    Options wanted = options_;
    apply(settings, wanted);
    refuse_contradictions(wanted);
    apply(settings, options_);
    log_level = options_.log_level;
    if (settings.backoff) slot_manager_.slots().set(options_.backoff);
    if (settings.recycle) health_monitor_.set_recycling();
    if (settings.connections_per_worker)
        for (const auto& [id, record] : records())
            page_.worker(record->cell).limit.store(*settings.connections_per_worker, std::memory_order_relaxed);
    pool_->limit(options_.calls_per_worker, options_.queued_calls);
    if (settings.workers) slot_manager_.scale(*settings.workers);
}

// Ending

COHORT_DECL bool Supervisor::has_worker_of(unsigned group) const {
    return std::ranges::any_of(records(), [group](const auto& entry) { return entry.second->group == group; });
}

COHORT_LAZY COHORT_DECL Task<> Supervisor::until_gone(unsigned group) {
    const std::weak_ptr<bool> alive = lifetime();
    while (!alive.expired() && has_worker_of(group)) co_await worker_gone_.wait();
}

COHORT_DECL std::error_code Supervisor::why_no_worker() const {
    if (stopping_) return Errc::stopping;
    const auto stays = [](const auto& any) { return any.second->state < WorkerState::draining; };
    if (!processes_.has_begun() || !slot_manager_.is_idle() || std::ranges::any_of(records(), stays)) return {};
    return Errc::no_such_worker;
}

COHORT_DECL void Supervisor::begin_end() {
    stopping_ = true;
    reloader_.fail(Errc::stopping);
    upgrade_.fail(Errc::stopping);
    autoscale_loop_.stop();
    slot_manager_.stop();
    pool_->review();
    service_.stop();
    worker_gone_.notify_all();
    turn_.close();
    processes_.mail().refuse_calls_unless_received();
}

COHORT_DECL void Supervisor::end_all(bool goes_on) {
    if (stopping_) return;
    begin_end();
    dispatcher_->stop(goes_on);
    control_service_.stop();
    for (const auto& [id, record] : WorkerRecords(records())) worker_shutdown_.ask_to_leave(*record);
    notify_if_finished();
}

COHORT_DECL void Supervisor::kill_all() {
    begin_end();
    worker_shutdown_.kill_all();
    notify_if_finished();
}

} // namespace cohort::detail
