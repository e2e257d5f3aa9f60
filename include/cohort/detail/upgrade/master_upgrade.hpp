// SPDX-License-Identifier: MIT
// MasterUpgrade: one master after the other, with the same sockets and without a gap (layer 4).
#pragma once

#include <cohort/detail/listen/any_dispatcher.hpp>
#include <cohort/detail/process/control_service.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/detail/upgrade/new_master.hpp>
#include <cohort/detail/upgrade/old_master.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace cohort::detail {

/// Both ends: this master may have replaced one, and may be replaced.
class MasterUpgrade {
public:
    /// Takes the sockets over when this process was started to replace a master. Throws what OldMaster::receive()
    /// does.
    MasterUpgrade(asio::io_context& context, const Options& options)
        : context_(context), options_(options), predecessor_(OldMaster::take(context.get_executor())) {
        if (predecessor_) predecessor_->receive(listeners_, datagrams_);
    }
    MasterUpgrade(const MasterUpgrade&) = delete;
    MasterUpgrade& operator=(const MasterUpgrade&) = delete;
    ~MasterUpgrade() {
        finish();
        if (new_master_ && !succeeded_) new_master_->kill();
    }
    /// Nobody is left here: nothing more goes either way.
    void finish() noexcept {
        if (new_master_ && succeeded_) new_master_->leave_alone(options_.grace);
        if (predecessor_) predecessor_->close();
    }

    // After the master before this one

    TransferredListeners& listeners() noexcept { return listeners_; }
    TransferredListeners& datagrams() noexcept { return datagrams_; }
    /// How many endpoints the first worker of a slot is to share before it counts as ready: as many as there.
    unsigned wanted_endpoints(unsigned slot) const noexcept { return is_awaited() ? predecessor_->endpoints(slot) : 0; }
    /// Has the dispatcher give away the connections that the workers of the master before give back, each when there is
    /// room for it beside those that wait there.
    void receive_connections(AnyDispatcher& dispatcher, bool (*may_take)(std::size_t waiting));
    bool is_awaited() const noexcept { return predecessor_ && !told_; }
    void tell_ready() {
        told_ = true;
        predecessor_->tell_ready();
    }

    // Before the one after it

    /// Starts the program anew, gives it the sockets, and waits until its workers are ready. From then on it gets what
    /// is open in those here when they leave.
    Task<ReloadReport> pass_on(AnyDispatcher& dispatcher, ControlService& control_service,
                               const WorkerRecords& workers);
    bool is_under_way() const noexcept { return new_master_ != nullptr && !succeeded_; }
    bool is_new_master(pid_t pid) const noexcept { return new_master_ && new_master_->pid() == pid; }
    /// The next master has taken over.
    bool has_succeeded() const noexcept { return succeeded_; }
    void fail(std::error_code error) {
        if (is_under_way()) new_master_->fail(error);
    }
    /// Connections that the next master has not read yet.
    std::size_t waiting() const noexcept { return new_master_ ? new_master_->waiting() : 0; }

private:
    static void transfer_sockets(NewMaster& new_master, AnyDispatcher& dispatcher,
                                 const ControlService& control_service, const WorkerRecords& workers);

    static constexpr unsigned most_slots = 1024; // that are told; the others' workers are ready when they run

    asio::io_context& context_;
    const Options& options_;
    std::unique_ptr<OldMaster> predecessor_;
    TransferredListeners listeners_;
    TransferredListeners datagrams_;
    std::shared_ptr<NewMaster> new_master_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    bool told_ = false;
    bool succeeded_ = false;
};

inline void MasterUpgrade::receive_connections(AnyDispatcher& dispatcher, bool (*may_take)(std::size_t waiting)) {
    if (!predecessor_) return;
    auto take = [&dispatcher](ConnectionTransfer& passed, UniqueFd connection) {
        dispatcher.give(passed.endpoint, TransferredConnection(std::move(connection), std::move(passed.state)));
    };
    auto has_room = [&dispatcher, may_take] { return may_take(dispatcher.waiting()); };
    asio::co_spawn(context_, OldMaster::receive_connections(alive_, *predecessor_, take, has_room), asio::detached);
}

inline void MasterUpgrade::transfer_sockets(NewMaster& new_master, AnyDispatcher& dispatcher,
                                            const ControlService& control_service, const WorkerRecords& workers) {
    for (const auto& each : dispatcher.listeners())
        new_master.give(SocketTransfer{each.requested, each.slot, false}, each.descriptor);
    for (const auto& each : control_service.datagram_sockets())
        new_master.give(SocketTransfer{each.requested, each.slot, true}, each.descriptor);
    SocketsTransferred transferred;
    for (const auto& [id, record] : workers) {
        if (record->slot >= most_slots) continue;
        if (record->slot >= transferred.endpoints.size()) transferred.endpoints.resize(record->slot + 1);
        transferred.endpoints[record->slot] = record->endpoints;
    }
    new_master.give(transferred);
}

inline Task<ReloadReport> MasterUpgrade::pass_on(AnyDispatcher& dispatcher, ControlService& control_service,
                                                 const WorkerRecords& workers) {
    ReloadReport report;
    try {
        new_master_ = NewMaster::launch(context_.get_executor());
    } catch (const std::system_error& error) {
        report.error = error.code();
        co_return report;
    }
    const auto new_master = new_master_;
    const std::weak_ptr<bool> alive = alive_;
    transfer_sockets(*new_master, dispatcher, control_service, workers);
    std::exception_ptr given_up; // by the caller
    try {
        co_await NewMaster::until_ready(new_master, options_.boot_timeout, report);
    } catch (...) {
        given_up = std::current_exception();
    }
    if (alive.expired()) {
        report.error = Errc::stopping;
        co_return report;
    }
    succeeded_ = !given_up && !report.error;
    if (succeeded_) {
        report.replaced = static_cast<unsigned>(workers.size());
        control_service.pass_on_to([new_master](const Endpoint& endpoint, TransferredConnection connection) {
            new_master->pass_on(endpoint, std::move(connection.state), std::move(connection.connection));
        });
        co_return report;
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await NewMaster::end(new_master, options_.grace);
    if (!alive.expired()) new_master_ = nullptr;
    if (given_up) std::rethrow_exception(given_up);
    co_return report;
}

} // namespace cohort::detail
