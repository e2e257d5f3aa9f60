// SPDX-License-Identifier: MIT
// What a mode is: a dispatcher in the master and an intake in the worker (layer 3).
#pragma once

#include <cohort/detail/socket/transferred_connection.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/event.hpp>
#include <cohort/options.hpp>
#include <cohort/stats.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace cohort {

class Socket;

namespace detail {

struct Cell;
class ConnectionCount;
class MasterLink;
class SharedPage;
class TransferredListeners;
class WorkerLink;

/// What the master has counted of each slot.
using Ledger = std::map<unsigned, SlotStats>;

} // namespace detail

/// Names one listener of one worker.
using ListenerId = std::uint32_t;
/// Owns a descriptor: closes it when it goes; moves, never copies.
using Descriptor = detail::UniqueFd;
/// A connection on its way between processes, with the state that its last worker passed on.
using TransferredConnection = detail::TransferredConnection;

/// A worker, as a dispatcher sees it. It lives as long as the master keeps a record of the worker.
struct DispatchTarget {
    WorkerId id = 0;
    unsigned slot = 0;
    std::uint32_t cell = 0; ///< its part of the SharedPage
    std::shared_ptr<detail::MasterLink> link;
    /// Listening descriptors that the process was started with and has not used yet.
    std::vector<int> inherited;
};

/// What a dispatcher works with. It all outlives the dispatcher.
struct DispatchContext {
    /// Opens a listening socket, or takes over that of the master before this one. `error`: why not (EADDRINUSE,
    /// EACCES, ...).
    Descriptor open_listener(const Endpoint& endpoint, unsigned slot, std::error_code& error) const;
    /// An id for a listener of a worker, to be released when that has closed. What an earlier listener of this number
    /// has left in its cell (IntakeContext::cell) is still there. Throws Errc::no_free_slot.
    ListenerId acquire_listener() const;
    void release_listener(ListenerId listener) const;

    asio::any_io_executor executor;
    detail::SharedPage& page;
    detail::Ledger& ledger;
    const Options& options;
    /// Of the master before this one.
    detail::TransferredListeners* transferred = nullptr;
};

/// The address that a listening descriptor has: with the real port where 0 was asked for.
Endpoint local_endpoint(const Descriptor& listener);

/// A listening descriptor that the dispatcher has.
struct OpenListener {
    Endpoint requested;
    Endpoint bound; ///< with the real address and port
    unsigned slot = 0;
    int descriptor = -1;
};

/// A dispatcher's answer to a worker that wants to listen.
struct Grant {
    std::error_code error;   ///< why not (EADDRINUSE, EACCES, ...)
    ListenerId listener = 0; ///< names the listener from now on
    Endpoint endpoint;       ///< with the real address and port
    int descriptor = -1;     ///< to accept on, if the worker is to do that by itself
};

/// The master's half of a mode: how the workers come by their listeners and connections. Every call comes from the
/// master's event loop.
class Dispatcher {
public:
    Dispatcher() = default;
    Dispatcher(const Dispatcher&) = delete;
    Dispatcher& operator=(const Dispatcher&) = delete;
    virtual ~Dispatcher() = default;

    /// Before the first worker: opens Options::listen; throws what the system says.
    virtual void prepare() = 0;
    /// The descriptors that the worker of this slot is to be started with.
    virtual std::vector<int> inherited(unsigned slot) = 0;
    virtual Grant open(DispatchTarget& target, const Endpoint& endpoint) = 0;
    virtual void close(DispatchTarget& target, ListenerId listener) = 0;
    /// Takes a connection that no worker owns and gives it to one that listens on this endpoint.
    virtual void give(const Endpoint& endpoint, TransferredConnection connection) = 0;
    /// How many connections wait for a worker; at too many, the master stops reading returned ones.
    virtual std::size_t waiting() const = 0;
    /// `count` connections from number `first` on did not reach the worker: others get them.
    virtual void lost(DispatchTarget& target, ListenerId listener, std::uint64_t first, std::uint32_t count) = 0;
    /// The worker has taken a connection, after the dispatcher had asked to be told.
    virtual void took(DispatchTarget& target, ListenerId listener) = 0;
    /// The worker is asked to leave: nothing new for it.
    virtual void drain(DispatchTarget& target) = 0;
    /// The worker is gone; `successor`: its slot, or another one that is empty now, will have another.
    virtual void leave(DispatchTarget& target, bool successor) = 0;
    virtual std::vector<QueueStats> queues() const = 0;
    virtual std::vector<OpenListener> listeners() const = 0;
    /// The cluster stops: hands out the connections queued in the kernel, then closes every listener. `goes_on`:
    /// another process has the same listeners, so their queues are left to it.
    virtual void stop(bool goes_on) = 0;
};

/// What an intake works with.
struct IntakeContext {
    asio::any_io_executor executor;
    std::shared_ptr<detail::WorkerLink> link;
    ListenerId listener = 0;
    detail::Cell& cell;
    detail::ConnectionCount& connection_count;
    Endpoint endpoint;
    Descriptor descriptor; ///< Grant::descriptor
};

/// The worker's half of a mode: where the connections of one listener come from.
class Intake : public std::enable_shared_from_this<Intake> {
public:
    virtual ~Intake() = default;
    /// The next connection; nothing once the intake is closed, or is stopped and empty.
    virtual Task<std::optional<Socket>> accept() = 0;
    /// Connections delivered by the master, numbered from `first`; if fewer than `count`, the rest were lost.
    virtual void deliver(std::uint64_t first, std::uint32_t count, std::vector<TransferredConnection> connections) = 0;
    /// These lost connections have gone to other workers.
    virtual void forget(std::uint64_t first, std::uint32_t count) = 0;
    /// The worker may have room again for one more connection.
    virtual void look_again() = 0;
    /// The worker is leaving: serves delivered connections, takes no new ones. `hand_over`: other workers go on.
    virtual void stop(bool hand_over) = 0;
    /// It is closed or stopped.
    virtual bool stopping() const noexcept { return false; }
    /// Whether open connections can be handed to other workers.
    virtual bool hands_over() const noexcept { return false; }
    /// Hands this connection over, with its protocol state; false: nobody would take it, and it stays here.
    virtual bool hand_over(Socket&, std::string) { return false; }
    /// The listener was closed: connections not accepted go back to the master.
    virtual void close() = 0;
    virtual const Endpoint& endpoint() const noexcept = 0;
};

/// How the workers of a cluster come to share their ports: RoundRobin, SharedSocket, or a type of the user's that makes
/// the same two halves.
///
///     struct MyMode {
///         static std::unique_ptr<Dispatcher> make_dispatcher(const DispatchContext& context);
///         static std::shared_ptr<Intake> make_intake(IntakeContext context);
///     };
template <class M>
concept Mode = requires(const DispatchContext& dispatch, IntakeContext&& intake) {
    { M::make_dispatcher(dispatch) } -> std::same_as<std::unique_ptr<Dispatcher>>;
    { M::make_intake(std::move(intake)) } -> std::same_as<std::shared_ptr<Intake>>;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/mode.ipp>
#endif
