// SPDX-License-Identifier: MIT
// ControlService: answers what workers ask of their master about listening and about each other (layer 4).
#pragma once

#include <cohort/detail/channel/bus.hpp>
#include <cohort/detail/listen/datagram_ports.hpp>
#include <cohort/detail/policy/leader_election.hpp>
#include <cohort/detail/process/worker_record.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/mode.hpp>

#include <cerrno>
#include <functional>
#include <optional>
#include <vector>

namespace cohort::detail {

class ControlService {
public:
    /// `passed`: the UDP sockets of the master before this one.
    ControlService(const Options& options, Dispatcher& dispatcher, Bus& bus, const WorkerRecords& records,
                   Ledger& ledger, TransferredListeners& passed)
        : options_(options),
          dispatcher_(dispatcher),
          bus_(bus),
          datagrams_(&passed),
          records_(records),
          ledger_(ledger) {}

    /// Carries out the worker's request. Returns the event that follows from it, if any: online, listening with the
    /// endpoint, or draining when it wants to leave. `stopping`: the cluster ends, so that nothing new is granted.
    std::optional<Event> handle(WorkerRecord& record, Packet& packet, bool stopping);

    /// Called when the worker is asked to leave: it is elected for nothing more.
    void drain(const DispatchTarget& target) { election_.withdraw(target.id); }
    /// Called when the worker has ended. `successor`: its slot will have another worker.
    void leave(const DispatchTarget& target, bool successor) {
        datagrams_.leave(target, successor);
        tell(election_.leave(target.id));
    }
    /// Called when no more workers will be started.
    void stop() { datagrams_.stop(); }
    std::vector<OpenListener> datagram_sockets() const { return datagrams_.sockets(); }
    /// From now on connections that workers give back go to `new_master`.
    void pass_on_to(std::function<void(const Endpoint&, TransferredConnection)> new_master);

private:
    std::optional<Event> answer(WorkerRecord& record, const Listen& request, bool stopping);
    std::optional<Event> answer(WorkerRecord& record, const Bind& request, bool stopping);
    void check_rights(WorkerRecord& record, const Endpoint& endpoint, const std::vector<OpenListener>& open) const;
    template <class Result, class Action>
    static Result attempt(const WorkerRecord& record, bool stopping, Action action);
    void campaign(WorkerRecord& record, const Campaign& wish, bool stopping);
    void tell(const LeaderElection::Elected& elected) const;
    static Event welcome(const WorkerRecord& record, const Online& online);
    static Event listens(WorkerRecord& record, const Endpoint& endpoint);
    static constexpr unsigned most_visits = 16; // of one slot to a worker that does not read its link
    static void check_descriptors(const Packet& packet);
    void introduce(WorkerRecord& record, const ConnectPeer& request, bool stopping);
    UniqueFd end_for(const WorkerRecord& record, WorkerId other, bool stopping);
    void take_back(WorkerRecord& record, const ReturnedConnection& given, UniqueFd connection);
    static void note(WorkerRecord& record, const SetupFailed& failure);

    const Options& options_;
    Dispatcher& dispatcher_;
    Bus& bus_;
    DatagramPorts datagrams_;
    LeaderElection election_;
    const WorkerRecords& records_;
    Ledger& ledger_;
    std::function<void(const Endpoint&, TransferredConnection)> new_master_;
};

/// Runs `action` for a worker that may have something new; what it throws becomes the error in the reply.
template <class Result, class Action>
Result ControlService::attempt(const WorkerRecord& record, bool stopping, Action action) {
    Result refused;
    refused.error = Errc::stopping;
    if (stopping || record.state == WorkerState::draining) return refused;
    refused.error = may_cause_more(record.endpoints());
    if (refused.error) return refused;
    try {
        return action();
    } catch (const std::system_error& error) {
        refused.error = error.code();
    }
    return refused;
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/process/control_service.ipp>
#endif
