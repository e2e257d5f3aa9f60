// SPDX-License-Identifier: MIT
// MasterUpgrade: one master after the other, with the same sockets and without a gap (layer 4).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/process/control_service.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/upgrade/new_master.hpp>
#include <cohort/detail/upgrade/old_master.hpp>
#include <cohort/mode.hpp>

#include <asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace cohort::detail {

/// Both ends of it: this master may have replaced one, and may be replaced.
class MasterUpgrade {
public:
    /// Takes the sockets over when this process was started to replace a master. Throws what OldMaster::receive()
    /// does.
    MasterUpgrade(asio::io_context& context, const Options& options)
        : context_(context),
          options_(options),
          old_master_(OldMaster::take(context.get_executor())),
          changed_(context.get_executor()) {
        if (old_master_) inheritance_ = old_master_->receive();
    }
    MasterUpgrade(const MasterUpgrade&) = delete;
    MasterUpgrade& operator=(const MasterUpgrade&) = delete;
    ~MasterUpgrade() {
        finish();
        if (new_master_ && !succeeded_) new_master_->kill();
    }
    /// Called when no worker is left here: closes the links to the old and the new master.
    void finish() noexcept {
        if (new_master_ && succeeded_) new_master_->leave_alone(options_.grace);
        if (old_master_) old_master_->close();
    }

    // Taking over from the old master

    TransferredListeners& listeners() noexcept { return inheritance_.listeners; }
    TransferredListeners& datagrams() noexcept { return inheritance_.datagrams; }
    /// The control socket of this path; empty: the master before had none there. One of another path is removed when
    /// this master takes over.
    UniqueFd take_control(const std::string& path) noexcept {
        TransferredFile& former = inheritance_.control;
        return former.path == path ? std::move(former.descriptor) : UniqueFd();
    }
    TransferredFile take_pid_file() noexcept { return std::exchange(inheritance_.pid_file, {}); }
    /// How many endpoints the first worker of a slot is to share before it counts as ready: as many as there.
    unsigned wanted_endpoints(unsigned slot) const noexcept { return is_awaited() ? old_master_->endpoints(slot) : 0; }
    /// Has the dispatcher give away the connections that the workers of the master before give back, each when there is
    /// room for it beside those that wait there. `take_over`: this master is the service from now on; called again
    /// when the one before has gone, as it may have gone without a word.
    void receive_connections(Dispatcher& dispatcher, bool (*may_take)(std::size_t waiting),
                             std::function<void()> take_over);
    /// Until the master before has left, with all that it had to give, or fail() is called. Whoever passed its sockets
    /// on earlier would have two successors for one predecessor that does not know which one is ready, and connections
    /// from there for which nobody is left here.
    Task<> until_alone();
    bool is_awaited() const noexcept { return old_master_ && !told_; }
    void tell_ready();

    // Handing over to a new master

    /// The control socket and the pid file that the next one gets; -1: none.
    void offer_control(const std::string& path, int listener) { offered_control_ = {path, listener}; }
    void offer_pid_file(const std::string& path, int lock) { offered_pid_file_ = {path, lock}; }
    /// Starts the program anew, gives it the sockets, and waits until its workers are ready. From then on it gets what
    /// is open in those here when they leave.
    Task<ReloadReport> pass_on(Dispatcher& dispatcher, ControlService& control_service, const WorkerRecords& workers);
    bool is_under_way() const noexcept { return new_master_ != nullptr && !succeeded_; }
    bool is_new_master(pid_t pid) const noexcept { return new_master_ && new_master_->pid() == pid; }
    /// Of the new master.
    pid_t successor() const noexcept { return new_master_->pid(); }
    /// Tells the new master, once it has taken over, that it is the service.
    void hand_over() { new_master_->give(HandedOver{}); }
    /// Whether the new master has taken over.
    bool has_succeeded() const noexcept { return succeeded_; }
    /// Sends it a signal, once it has taken over.
    bool forward_signal(int signal) const noexcept { return succeeded_ && new_master_ && new_master_->signal(signal); }
    void fail(std::error_code error) {
        failed_ = true;
        changed_.notify_all();
        if (is_under_way()) new_master_->fail(error);
    }
    /// How many connections the new master has not read yet.
    std::size_t waiting() const noexcept { return new_master_ ? new_master_->waiting() : 0; }

private:
    static Task<> hear_old_master(std::weak_ptr<bool> alive, MasterUpgrade& self, OldMaster::Heir heir);
    void end_unwanted();
    void transfer_sockets(NewMaster& new_master, Dispatcher& dispatcher, const ControlService& control_service,
                          const WorkerRecords& workers) const;

    static constexpr unsigned most_slots = 1024; // that are told; the others' workers are ready when they run

    asio::io_context& context_;
    const Options& options_;
    std::unique_ptr<OldMaster> old_master_;
    Inheritance inheritance_;
    std::pair<std::string, int> offered_control_{"", -1};
    std::pair<std::string, int> offered_pid_file_{"", -1};
    std::shared_ptr<NewMaster> new_master_;
    std::shared_ptr<bool> alive_ = share<bool>(true);
    Notifier changed_;
    bool told_ = false;
    bool alone_ = false;
    bool failed_ = false;
    bool succeeded_ = false;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/upgrade/master_upgrade.ipp>
#endif
