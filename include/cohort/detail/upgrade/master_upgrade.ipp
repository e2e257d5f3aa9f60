// SPDX-License-Identifier: MIT
// The bodies of master_upgrade.hpp (layer 4).
#pragma once

#include <cohort/detail/upgrade/master_upgrade.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/socket_file.hpp>
#include <cohort/detail/system/signals.hpp>

#include <utility>

namespace cohort::detail {

COHORT_DECL void MasterUpgrade::receive_connections(Dispatcher& dispatcher, bool (*may_take)(std::size_t waiting),
                                                    std::function<void()> take_over) {
    if (!old_master_) return;
    OldMaster::Heir heir;
    heir.take = [&dispatcher](ConnectionTransfer& transfer, UniqueFd connection) {
        dispatcher.give(transfer.endpoint, TransferredConnection(std::move(connection), std::move(transfer.state)));
    };
    heir.has_room = [&dispatcher, may_take] { return may_take(dispatcher.waiting()); };
    heir.take_over = std::move(take_over);
    spawn(context_.get_executor(), hear_old_master(alive_, *this, std::move(heir)));
}

COHORT_DECL Task<> MasterUpgrade::hear_old_master(std::weak_ptr<bool> alive, MasterUpgrade& self,
                                                  OldMaster::Heir heir) {
    if (alive.expired()) co_return;
    co_await OldMaster::receive_connections(alive, *self.old_master_, heir);
    if (alive.expired()) co_return;
    heir.take_over();
    self.alone_ = true;
    self.changed_.notify_all();
    if (self.told_) self.end_unwanted();
}

/// The master before needed them should this one have failed, and has left now.
COHORT_DECL void MasterUpgrade::end_unwanted() {
    inheritance_.datagrams = {};
    inheritance_.listeners.end();
}

COHORT_DECL void MasterUpgrade::tell_ready() {
    told_ = true;
    accept_commands();
    TransferredFile& former = inheritance_.control;
    if (former.descriptor) SocketFile(Endpoint::unix_path(former.path)).remove();
    former.descriptor.reset();
    old_master_->tell_ready();
    if (alone_) end_unwanted();
}

COHORT_DECL Task<> MasterUpgrade::until_alone() {
    const std::weak_ptr<bool> alive = alive_;
    while (!alive.expired() && old_master_ && !alone_ && !failed_) co_await changed_.wait();
}

COHORT_DECL void MasterUpgrade::transfer_sockets(NewMaster& new_master, Dispatcher& dispatcher,
                                                 const ControlService& control_service,
                                                 const WorkerRecords& workers) const {
    if (offered_control_.second >= 0) new_master.give(ControlTransfer{offered_control_.first}, offered_control_.second);
    if (offered_pid_file_.second >= 0)
        new_master.give(PidFileTransfer{offered_pid_file_.first}, offered_pid_file_.second);
    for (const auto& each : dispatcher.listeners())
        new_master.give(SocketTransfer{each.requested, each.slot, false}, each.descriptor);
    for (const auto& each : control_service.datagram_sockets())
        new_master.give(SocketTransfer{each.requested, each.slot, true}, each.descriptor);
    SocketsTransferred transferred;
    for (const auto& [id, record] : workers) {
        if (record->slot >= most_slots) continue;
        if (record->slot >= transferred.endpoints.size()) transferred.endpoints.resize(record->slot + 1);
        transferred.endpoints[record->slot] = record->endpoints();
    }
    new_master.give(transferred);
}

COHORT_DECL Task<ReloadReport> MasterUpgrade::pass_on(Dispatcher& dispatcher, ControlService& control_service,
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
    std::exception_ptr given_up; // set when the caller cancelled
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
    co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation()); // as it was
    if (given_up) std::rethrow_exception(given_up);
    co_return report;
}

} // namespace cohort::detail
