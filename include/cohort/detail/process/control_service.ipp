// SPDX-License-Identifier: MIT
// The bodies of control_service.hpp (layer 4).
#pragma once

#include <cohort/detail/process/control_service.hpp>

#include <cohort/detail/log_line.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/rights.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/printable.hpp>
#include <cohort/detail/socket/shared_address.hpp>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <utility>

namespace cohort::detail {

COHORT_DECL void ControlService::pass_on_to(std::function<void(const Endpoint&, TransferredConnection)> new_master) {
    new_master_ = std::move(new_master);
}

COHORT_DECL std::optional<Event> ControlService::handle(WorkerRecord& record, Packet& packet, bool stopping) {
    check_descriptors(packet);
    if (packet.holds<Online>()) return welcome(record, packet.read<Online>());
    if (packet.holds<Listen>()) return answer(record, packet.read<Listen>(), stopping);
    if (packet.holds<Announced>()) {
        record.listened = true;
        return Event{.kind = WorkerState::listening, .endpoint = packet.read<Announced>().endpoint};
    }
    if (packet.holds<Unlisten>()) {
        const ListenerId listener = packet.read<Unlisten>().listener;
        dispatcher_.close(record, listener);
        record.listeners.erase(listener);
    }
    if (packet.holds<Bind>()) return answer(record, packet.read<Bind>(), stopping);
    if (packet.holds<Unbind>()) {
        const BindingId binding = packet.read<Unbind>().binding;
        datagrams_.unbind(record, binding);
        record.bindings.erase(binding);
    }
    if (packet.holds<Took>()) dispatcher_.took(record, packet.read<Took>().listener);
    if (packet.holds<Lost>()) {
        const auto lost = packet.read<Lost>();
        dispatcher_.lost(record, lost.listener, lost.first, lost.count);
    }
    if (packet.holds<ReturnedConnection>()) {
        const auto returned = packet.read<ReturnedConnection>();
        for (auto& connection : packet.descriptors) take_back(record, returned, std::move(connection));
    }
    if (packet.holds<Campaign>()) campaign(record, packet.read<Campaign>(), stopping);
    if (packet.holds<Resign>()) tell(election_.resign({record.id, packet.read<Resign>().request}));
    if (packet.holds<Ready>()) record.announced = true;
    if (packet.holds<ConnectPeer>()) introduce(record, packet.read<ConnectPeer>(), stopping);
    if (packet.holds<SetupFailed>()) note(record, packet.read<SetupFailed>());
    return std::nullopt;
}

/// A program with other message types is not a worker of this cluster. The channel's greeting would show it, too, but
/// may be read after the worker has counted as ready.
COHORT_DECL Event ControlService::welcome(const WorkerRecord& record, const Online& online) {
    const bool is_ours =
        online.sends == record.messages->incoming().hash && online.expects == record.messages->outgoing().hash;
    if (!is_ours) throw std::system_error(make_error_code(Errc::schema_mismatch));
    return {.kind = WorkerState::online};
}

COHORT_DECL Event ControlService::listens(WorkerRecord& record, const Endpoint& endpoint) {
    record.listened = true;
    return {.kind = WorkerState::listening, .endpoint = endpoint};
}

/// The options name it as it is asked for, or as the address that is open for what they name.
COHORT_DECL bool is_named(const Options& options, const Endpoint& endpoint, const std::vector<OpenListener>& open) {
    const auto is_in_options = [&options](const Endpoint& wanted) {
        return std::ranges::find(options.listen, wanted) != options.listen.end() ||
               std::ranges::find(options.may_listen, wanted) != options.may_listen.end();
    };
    return is_in_options(endpoint) || std::ranges::any_of(open, [&](const OpenListener& one) {
               return is_in_options(one.requested) && SharedAddress{one.requested, one.bound}.is_meant_by(endpoint);
           });
}

/// Of one that is gone only the options tell; nobody gets what it asked for.
COHORT_DECL bool has_fewer_rights(const WorkerRecord& record) {
    return record.refused || record.other_user || (!record.reaped && !has_own_rights(record.pid));
}

/// The master does not lend its rights to who has fewer, and may have been taken over. Throws EACCES.
COHORT_DECL void ControlService::check_rights(WorkerRecord& record, const Endpoint& endpoint,
                                              const std::vector<OpenListener>& open) const {
    if (is_named(options_, endpoint, open) || !has_fewer_rights(record)) return;
    if (!std::exchange(record.refused, true))
        log_line(
            LogLevel::warning,
            "worker " + std::to_string(record.id) + ": may not listen on " + printable(endpoint.to_string()) +
                ": it has fewer rights than its master, and neither Options::listen nor Options::may_listen has it");
    throw std::system_error(EACCES, std::system_category());
}

COHORT_DECL std::optional<Event> ControlService::answer(WorkerRecord& record, const Listen& request, bool stopping) {
    Listening reply;
    reply.request = request.request;
    Grant grant = attempt<Grant>(record, stopping, [&] {
        check_rights(record, request.endpoint, dispatcher_.listeners());
        return dispatcher_.open(record, request.endpoint);
    });
    if (grant.error) {
        set_error(reply, grant.error);
        record.link->send(reply);
        return std::nullopt;
    }
    reply.listener = grant.listener;
    reply.endpoint = grant.endpoint;
    if (std::erase(record.inherited, grant.descriptor) != 0) {
        reply.inherited = grant.descriptor;
        grant.descriptor = -1;
    }
    record.link->send(reply, std::span<const int>(&grant.descriptor, grant.descriptor >= 0 ? 1 : 0));
    record.listeners.insert(grant.listener);
    return listens(record, grant.endpoint);
}

COHORT_DECL std::optional<Event> ControlService::answer(WorkerRecord& record, const Bind& request, bool stopping) {
    Bound reply;
    reply.request = request.request;
    const Binding binding = attempt<Binding>(record, stopping, [&] {
        check_rights(record, request.endpoint, datagrams_.sockets());
        return datagrams_.bind(record, request.endpoint);
    });
    set_error(reply, binding.error);
    reply.binding = binding.id;
    reply.endpoint = binding.endpoint;
    record.link->send(reply, std::span<const int>(&binding.descriptor, binding.error ? 0 : 1));
    if (binding.error) return std::nullopt;
    record.bindings.insert(binding.id);
    return listens(record, binding.endpoint);
}

COHORT_DECL void ControlService::campaign(WorkerRecord& record, const Campaign& wish, bool stopping) {
    LeaderElection::Elected elected;
    std::error_code refused = Errc::stopping;
    if (!stopping && record.state != WorkerState::draining)
        refused = election_.campaign(wish.role, {record.id, wish.request}, elected);
    tell(elected);
    if (!refused) return;
    Elected reply{wish.request};
    set_error(reply, refused);
    record.link->send(reply);
}

COHORT_DECL void ControlService::tell(const LeaderElection::Elected& elected) const {
    for (const Candidacy& one : elected)
        if (const auto found = records_.find(one.worker); found != records_.end())
            found->second->link->send(Elected{one.request});
}

COHORT_DECL void ControlService::introduce(WorkerRecord& record, const ConnectPeer& request, bool stopping) {
    PeerSocket reply{request.request};
    UniqueFd end;
    try {
        end = end_for(record, request.worker, stopping);
    } catch (const std::system_error& error) {
        set_error(reply, error.code());
    }
    const int number = end.get();
    record.link->send(reply, std::span(&number, end ? 1 : 0));
}

/// One end of a socket pair whose other end goes to the other worker: the two then communicate without the master. Id
/// 0, which no worker has, means the bus.
COHORT_DECL UniqueFd ControlService::end_for(const WorkerRecord& record, WorkerId other, bool stopping) {
    if (other == 0) return bus_.connect(record.id, record.slot, stopping || record.state == WorkerState::draining);
    const auto found = records_.find(other);
    const bool is_there =
        found != records_.end() && other != record.id && !stopping && found->second->state < WorkerState::draining;
    if (!is_there) return {};
    WorkerRecord& host = *found->second;
    if (host.link->all_sent()) host.visitors.clear();
    unsigned& visits = host.visitors[record.slot];
    if (visits == most_visits || host.link->kept() >= share_of_descriptors())
        throw std::system_error(make_error_code(Errc::too_many));
    ++visits;
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    const int number = others.get();
    host.link->send(IncomingPeer{record.id}, std::span(&number, 1));
    return std::move(mine);
}

/// Of all that a worker says only a connection that it gives back has a descriptor.
COHORT_DECL void ControlService::check_descriptors(const Packet& packet) {
    if (packet.descriptors.size() > (packet.holds<ReturnedConnection>() ? 1U : 0U))
        throw std::system_error(make_error_code(Errc::bad_message));
}

/// Only a worker that leaves may have accepted connections by itself and hand them over.
COHORT_DECL void ControlService::take_back(WorkerRecord& record, const ReturnedConnection& given, UniqueFd connection) {
    const bool was_lent = record.link->take_back();
    if ((!was_lent && record.state != WorkerState::draining) || !is_connection(connection.get()))
        throw std::system_error(make_error_code(Errc::bad_message));
    SlotStats& stats = ledger_[record.slot];
    ++(given.was_served ? stats.handed_over : stats.refused);
    TransferredConnection passage(std::move(connection), given.state);
    if (new_master_)
        new_master_(given.endpoint, std::move(passage));
    else
        dispatcher_.give(given.endpoint, std::move(passage));
}

COHORT_DECL void ControlService::note(WorkerRecord& record, const SetupFailed& failure) {
    if (record.error) throw std::system_error(make_error_code(Errc::bad_message)); // a process says it once and ends
    record.error = {failure.system_error, std::system_category()};
    log_line(LogLevel::warning, "worker " + std::to_string(record.id) + ": " + printable(failure.step.substr(0, 200)) +
                                    ": " + record.error.message());
}

} // namespace cohort::detail
