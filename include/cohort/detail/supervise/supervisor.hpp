// SPDX-License-Identifier: MIT
// Supervisor: all of a master that does not depend on its messages and its mode (layer 4).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/policy/coalesced_requests.hpp>
#include <cohort/detail/process/control_service.hpp>
#include <cohort/detail/process/worker_processes.hpp>
#include <cohort/detail/reload/change_turn.hpp>
#include <cohort/detail/reload/slot_replacer.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/supervise/autoscale_loop.hpp>
#include <cohort/detail/supervise/call_pool.hpp>
#include <cohort/detail/supervise/control_plane.hpp>
#include <cohort/detail/supervise/health_monitor.hpp>
#include <cohort/detail/supervise/service_notifier.hpp>
#include <cohort/detail/supervise/slot_manager.hpp>
#include <cohort/detail/supervise/stats_collector.hpp>
#include <cohort/detail/supervise/worker_shutdown.hpp>
#include <cohort/detail/upgrade/listener_store.hpp>
#include <cohort/detail/upgrade/master_pid_file.hpp>
#include <cohort/detail/upgrade/master_upgrade.hpp>
#include <cohort/mode.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace cohort::detail {

/// The master's half of a mode.
using MakeDispatcher = std::unique_ptr<Dispatcher> (*)(const DispatchContext&);

/// Puts the parts of a master together: each has an interface for what it needs of the others, and all of them are
/// here. MasterBase documents what each function is for.
class Supervisor final : WorkerProcesses::Owner,
                         SlotManager::Owner,
                         SlotReplacer::Owner,
                         HealthMonitor::Owner,
                         AutoscaleLoop::Owner,
                         CallPool::Owner,
                         ServiceNotifier::Owner {
public:
    Supervisor(asio::io_context& context, Options options, Schemas schemas, MakeDispatcher make_dispatcher);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor();

    WorkerId spawn(WorkerSpec spec);
    Task<std::optional<Event>> next_event() { return processes_.next_event(); }
    void disconnect(WorkerId worker) { let_go(record(worker)); }
    void kill(WorkerId worker, int signal) { worker_shutdown_.kill(record(worker), signal); }
    /// What Worker::ready() says.
    void announce(WorkerId worker);
    Task<ReloadReport> reload() { return change(reloads_, &Supervisor::reload_now); }
    /// Gives the slot of this worker another one. Throws Errc::no_such_worker: it is not there, or leaves.
    Task<ReloadReport> restart(WorkerId worker);
    Task<ReloadReport> upgrade() { return change(upgrades_, &Supervisor::upgrade_now); }
    /// A signal that came for a master which has a successor is for that one. False: it has none.
    bool forward_signal(int signal) const noexcept { return upgrade_.forward_signal(signal); }
    /// The master that has taken over. There is one.
    pid_t successor() const noexcept { return upgrade_.successor(); }
    /// Begins when it is called, not when it is awaited.
    Task<> stop() {
        end_all(false);
        return until_gone();
    }
    void kill_all();
    Task<> until_finished();
    COHORT_LAZY Task<> until_stopping();

    /// See MasterBase::set.
    void set(const Settings& settings);

    SlotManager& slot_manager() noexcept { return slot_manager_; }
    /// Waits until the last worker of this group has ended.
    COHORT_LAZY Task<> until_gone(unsigned group);
    /// Expires with this object.
    std::weak_ptr<bool> lifetime() const noexcept { return alive_; }

    std::vector<WorkerInfo> workers() const { return processes_.workers(); }
    Stats stats() const { return stats_.stats(); }
    COHORT_DECL std::vector<RequestInfo> requests();
    SharedPage& page() noexcept { return page_; }
    Totals totals() {
        note_figures();
        return page_.totals();
    }
    /// Null: Options::logs is not set.
    LogService* logs() const noexcept { return logs_.get(); }
    const HealthMonitor& health_monitor() const noexcept { return health_monitor_; }
    EventLog& history() noexcept { return processes_.history(); }
    /// Null: Options::control is not set.
    ControlPlane* control() const noexcept { return control_.get(); }
    std::chrono::steady_clock::time_point born() const noexcept { return born_; }
    /// How many reloads have begun.
    std::uint64_t generation() const noexcept { return generation_; }
    bool is_finished() const { return finished(); }
    unsigned ready_workers() const { return count_workers().ready; }
    bool has_given_up() const noexcept { return slot_manager_.slots().has_given_up(); }
    bool stopping() const noexcept override { return stopping_; }
    const Options& options() const noexcept { return options_; }
    asio::io_context& context() noexcept { return context_; }

    /// Whether it is a child that is watched already: a worker, the next master, or the writer of the log.
    bool is_watched(pid_t pid) const noexcept {
        const auto is_it = [pid](const auto& entry) { return entry.second->pid == pid; };
        if (logs_ && logs_->is_writer(pid)) return true;
        return upgrade_.is_new_master(pid) || std::ranges::any_of(records(), is_it);
    }
    /// The worker's record. Throws Errc::no_such_worker.
    WorkerRecord& record(WorkerId worker);
    const WorkerRecords& records() const noexcept { return processes_.records(); }

    Mailbox& mail() noexcept { return processes_.mail(); }
    CallPool& pool() noexcept { return *pool_; }
    /// A connection of this process to the bus.
    UniqueFd connect_bus() { return bus_.connect(finished()); }

private:
    using RecordPtr = std::shared_ptr<WorkerRecord>;

    // WorkerProcesses::Owner
    COHORT_DECL void handle(WorkerRecord& record, Packet& packet) override;
    COHORT_DECL void on_executed(WorkerRecord& record) override;
    std::size_t waiting_connections() const override { return dispatcher_->waiting() + upgrade_.waiting(); }
    COHORT_DECL void on_exit(const RecordPtr& record, const ExitStatus& status) override;
    bool finished() const override {
        return records().empty() && slot_manager_.is_idle() && (stopping_ || processes_.has_begun());
    }

    // SlotManager::Owner, SlotReplacer::Owner
    COHORT_DECL WorkerId start(unsigned slot) override;
    void ask_to_leave(WorkerRecord& record) override {
        worker_shutdown_.ask_to_leave(record);
        pool_->review();
    }
    void refill(unsigned slot) override { slot_manager_.refill(slot); }
    unsigned wanted_endpoints(unsigned slot) const override { return upgrade_.wanted_endpoints(slot); }
    void forget_successor(WorkerId successor) override { reloader_.forget(successor); }
    void interrupt_reload() override { reloader_.interrupt(Errc::not_ready); }
    COHORT_DECL void release(unsigned slot) override;
    void on_slots_settled() override {
        review_readiness();
        notify_if_finished();
    }

    // HealthMonitor::Owner, AutoscaleLoop::Owner
    Task<ReloadReport> replace(unsigned slot) override { return reloader_.replace(slot, options_.boot_timeout); }
    void note_figures() override { stats_.note_queues(pool_->waiting()); }
    unsigned worker_count() const override { return slot_manager_.count(); }
    double current_load() const override { return static_cast<double>(stats().load()); }
    COHORT_DECL void scale_to(unsigned workers) override;

    using Change = Task<ReloadReport> (Supervisor::*)();

    /// One reload or upgrade at a time. A request that comes meanwhile is served after it.
    Task<ReloadReport> change(CoalescedRequests& requests, Change carry_out);
    Task<ReloadReport> restart_now(WorkerId worker);
    Task<ReloadReport> reload_now();
    Task<ReloadReport> upgrade_now();
    // CallPool::Owner, ServiceNotifier::Owner
    COHORT_DECL std::error_code why_no_worker() const override;
    COHORT_DECL WorkerCounts count_workers() const override;
    COHORT_DECL bool keep_listeners(const NotifySocket& manager) override;

    void let_go(WorkerRecord& record) {
        worker_shutdown_.let_go(record);
        pool_->review();
    }
    void notify_if_finished();
    /// Ends what waits for something that comes only while the cluster goes on.
    void begin_end();
    void end_all(bool goes_on);
    void open_control();
    /// This master is the service now: the one before has said so, or is gone.
    void take_over();
    bool all_ready() const;
    /// A worker has come a step further.
    void review(WorkerRecord& record);
    /// Tells those who wait for the first workers.
    void review_readiness();
    bool has_worker_of(unsigned group) const;
    Task<> until_gone();

    asio::io_context& context_;
    Options options_;
    SharedPage page_;
    Ledger ledger_;
    std::unique_ptr<LogService> logs_; // the last to go
    MasterUpgrade upgrade_;
    ListenerStore listener_store_;
    ServiceNotifier service_;
    MasterPidFile pid_file_;
    std::unique_ptr<Dispatcher> dispatcher_;
    WorkerProcesses processes_;
    StatsCollector stats_;
    SlotManager slot_manager_;
    std::shared_ptr<CallPool> pool_;
    Bus bus_;
    ControlService control_service_;
    WorkerShutdown worker_shutdown_;
    SlotReplacer slot_replacer_;
    Reloader reloader_;
    HealthMonitor health_monitor_;
    AutoscaleLoop autoscale_loop_;
    Notifier worker_gone_;
    ChangeTurn turn_;
    CoalescedRequests reloads_;
    CoalescedRequests upgrades_;
    std::uint64_t generation_ = 0;
    std::chrono::steady_clock::time_point born_ = std::chrono::steady_clock::now();
    std::shared_ptr<bool> alive_ = share<bool>(true);
    std::shared_ptr<ControlPlane> control_;
    bool stopping_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/supervise/supervisor.ipp>
#endif
