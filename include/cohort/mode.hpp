// SPDX-License-Identifier: MIT
// What a mode is: a dispatcher in the master and an intake in the worker (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/control/connection_count.hpp>
#include <cohort/detail/control/control_link.hpp>
#include <cohort/detail/control/control_message.hpp>
#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/socket/transferred_connection.hpp>
#include <cohort/detail/socket/transferred_listeners.hpp>
#include <cohort/event.hpp>
#include <cohort/options.hpp>
#include <cohort/stats.hpp>

#include <concepts>
#include <map>
#include <memory>
#include <vector>

namespace cohort {

namespace detail {

using MasterLink = ControlLink<FromMaster, FromWorker>;
using WorkerLink = ControlLink<FromWorker, FromMaster>;

/// What the master has counted of each slot.
using Ledger = std::map<unsigned, SlotStats>;

} // namespace detail

/// A worker as a dispatcher sees it. It lives as long as the master keeps a record of the worker.
struct DispatchTarget {
    WorkerId id = 0;
    unsigned slot = 0;
    std::uint32_t cell = 0; ///< SharedPage::worker
    std::shared_ptr<detail::MasterLink> link;
    /// Listening descriptors that the process was started with and has not used yet.
    std::vector<int> inherited;
};

/// What a dispatcher works with. It all outlives the dispatcher.
struct DispatchContext {
    asio::any_io_executor executor;
    detail::SharedPage& page;
    detail::Ledger& ledger;
    const Options& options;
    /// Of the master before this one.
    detail::TransferredListeners* passed = nullptr;
};

/// A listening descriptor that the dispatcher has.
struct OpenListener {
    Endpoint requested;
    Endpoint bound; ///< with the real address and port
    unsigned slot = 0;
    int descriptor = -1;
};

/// A dispatcher's answer to a worker that wants to listen.
struct Grant {
    std::error_code error;           ///< why not (EADDRINUSE, EACCES, ...)
    detail::ListenerId listener = 0; ///< names the listener from now on
    Endpoint endpoint;               ///< with the real address and port
    int descriptor = -1;             ///< to accept on, if the worker is to do that by itself
};

/// What an intake works with.
struct IntakeContext {
    asio::any_io_executor executor;
    std::shared_ptr<detail::WorkerLink> link;
    detail::ListenerId listener = 0;
    detail::Cell& cell;
    detail::ConnectionCount& connection_count;
    Endpoint endpoint;
    detail::UniqueFd descriptor; ///< Grant::descriptor
};

/// The worker's half of a mode: where the connections of one listener come from.
class Intake : public std::enable_shared_from_this<Intake> {
public:
    virtual ~Intake() = default;
    /// The next connection; nothing once the intake is closed, or is stopped and empty.
    virtual Task<std::optional<Socket>> accept() = 0;
    /// Connections number `first` and following, handed over by the master; of `count`, those missing were lost.
    virtual void deliver(std::uint64_t first, std::uint32_t count,
                         std::vector<detail::TransferredConnection> connections) = 0;
    /// The master has found others for the connections that were lost.
    virtual void forget(std::uint64_t first, std::uint32_t count) = 0;
    /// The worker may have room again for one more connection.
    virtual void look_again() = 0;
    /// The worker is leaving: what is here is still served, nothing new is taken. `hand_over`: others go on.
    virtual void stop(bool hand_over) = 0;
    /// It is closed or stopped.
    virtual bool stopping() const noexcept { return false; }
    /// Others would go on with connections that are open.
    virtual bool hands_over() const noexcept { return false; }
    /// Gives them this one, with what they must know; false: nobody would take it, and it stays here.
    virtual bool hand_over(Socket&, std::string) { return false; }
    /// The listener was closed: what is here goes back to the master.
    virtual void close() = 0;
    virtual const Endpoint& endpoint() const noexcept = 0;
};

/// The master's half of a mode. Every call comes from the master's event loop.
template <class D>
concept DispatcherOf = std::constructible_from<D, DispatchContext> &&
                       requires(D& dispatcher, DispatchTarget& target, const Endpoint& endpoint, unsigned slot,
                                detail::ListenerId listener, detail::TransferredConnection connection,
                                std::uint64_t first, std::uint32_t count, bool successor, bool goes_on) {
                           /// Before the first worker: opens Options::listen; throws what the system says.
                           dispatcher.prepare();
                           /// The descriptors that the worker of this slot is to be started with.
                           { dispatcher.inherited(slot) } -> std::same_as<std::vector<int>>;
                           { dispatcher.open(target, endpoint) } -> std::same_as<Grant>;
                           dispatcher.close(target, listener);
                           /// A connection that nobody has, for whoever listens on this endpoint.
                           dispatcher.give(endpoint, std::move(connection));
                           /// So many of these have not found a worker yet: the master hears no more of them for the
                           /// moment.
                           { dispatcher.waiting() } -> std::same_as<std::size_t>;
                           dispatcher.lost(target, listener, first, count);
                           dispatcher.took(target, listener);
                           /// The worker is asked to leave: nothing new for it.
                           dispatcher.drain(target);
                           /// The worker is gone; `successor`: its slot, or another one that is empty now, will have
                           /// another.
                           dispatcher.leave(target, successor);
                           { dispatcher.queues() } -> std::same_as<std::vector<QueueStats>>;
                           { dispatcher.listeners() } -> std::same_as<std::vector<OpenListener>>;
                           /// The program ends: what the kernel has queued is handed out, then every listener closes.
                           /// `goes_on`: not so when another process has the same listeners; then they are its own.
                           dispatcher.stop(goes_on);
                       };

/// How the workers of a cluster come to share their ports: RoundRobin, SharedSocket, or a type of the user's with the
/// same two halves.
template <class M>
concept Mode = DispatcherOf<typename M::Dispatcher> && std::derived_from<typename M::Intake, Intake> &&
               std::constructible_from<typename M::Intake, IntakeContext>;

} // namespace cohort
