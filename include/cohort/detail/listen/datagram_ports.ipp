// SPDX-License-Identifier: MIT
// The bodies of datagram_ports.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/datagram_ports.hpp>
#include <cohort/detail/socket/inherited_socket.hpp>
#include <cohort/detail/socket/transferred_listeners.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/listen_socket.hpp>

#include <algorithm>

namespace cohort::detail {

COHORT_DECL bool DatagramPorts::Port::is_used_by(const DispatchTarget& target) const {
    const auto is_its = [&](const User& user) { return user.worker == target.id; };
    return std::ranges::any_of(slots, [&](const auto& slot) { return std::ranges::any_of(slot.second.users, is_its); });
}

/// Port 0 means the same port in all workers; a worker that asks for it twice means two.
COHORT_DECL DatagramPorts::Port* DatagramPorts::find(const DispatchTarget& target, const Endpoint& endpoint) {
    const auto found = std::ranges::find_if(ports_, [&](const Port& port) {
        const bool another = endpoint.port() == 0 && endpoint.is_tcp() && port.is_used_by(target);
        return port.is_meant_by(endpoint) && !another;
    });
    return found == ports_.end() ? nullptr : &*found;
}

/// The first socket is bound without SO_REUSEPORT, so that no port of somebody else's is joined unnoticed, nor, for
/// port 0, one that another cluster of this user shares. Then it lets the sockets of the other slots join.
COHORT_DECL DatagramPorts::Port* DatagramPorts::make(const Endpoint& endpoint, unsigned slot, std::error_code& error) {
    if (endpoint.is_unix()) error = Errc::bad_endpoint;
    if (error) return nullptr;
    if (Port* const passed = make_of_passed(endpoint)) return passed;
    UniqueFd socket = endpoint.is_tcp() ? open_bound(endpoint, false, error, SOCK_DGRAM)
                                        : copy_inherited(endpoint, SOCK_DGRAM, error);
    if (error) return nullptr;
    if (endpoint.is_tcp()) enable(socket.get(), SOL_SOCKET, SO_REUSEPORT);
    Port port;
    port.requested = endpoint;
    port.bound = local_endpoint(socket.get());
    port.slots[port.key(slot)].socket = std::move(socket);
    return &ports_.emplace_back(std::move(port));
}

/// Takes over the previous master's sockets, with the datagrams queued in them.
COHORT_DECL DatagramPorts::Port* DatagramPorts::make_of_passed(const Endpoint& endpoint) {
    Port port;
    port.requested = endpoint;
    if (passed_ == nullptr) return nullptr;
    for (const unsigned slot : passed_->slots(endpoint)) port.slots[slot].socket = passed_->take(endpoint, slot);
    if (port.slots.empty()) return nullptr;
    port.bound = local_endpoint(port.slots.begin()->second.socket.get());
    return &ports_.emplace_back(std::move(port));
}

COHORT_DECL std::vector<OpenListener> DatagramPorts::sockets() const {
    std::vector<OpenListener> result;
    for (const Port& port : ports_)
        for (const auto& [slot, its] : port.slots)
            result.push_back({port.requested, port.bound, slot, its.socket.get()});
    return result;
}

COHORT_DECL DatagramPorts::SlotSocket* DatagramPorts::slot_socket(Port& port, unsigned slot, std::error_code& error) {
    const unsigned key = port.key(slot);
    if (const auto found = port.slots.find(key); found != port.slots.end()) return &found->second;
    UniqueFd socket = open_bound(port.bound, true, error, SOCK_DGRAM);
    if (error) return nullptr;
    SlotSocket& made = port.slots[key];
    made.socket = std::move(socket);
    return &made;
}

COHORT_DECL Binding DatagramPorts::bind(const DispatchTarget& target, const Endpoint& endpoint) {
    Binding binding;
    Port* port = find(target, endpoint);
    if (port == nullptr) port = make(endpoint, target.slot, binding.error);
    auto* const socket = port == nullptr ? nullptr : slot_socket(*port, target.slot, binding.error);
    if (socket == nullptr) return binding;
    binding.id = ++last_id_;
    binding.endpoint = port->bound;
    binding.descriptor = socket->socket.get();
    socket->users.push_back({target.id, binding.id});
    return binding;
}

COHORT_DECL void DatagramPorts::unbind(const DispatchTarget& target, BindingId id) {
    const auto is_it = [&](const User& user) { return user.worker == target.id && user.id == id; };
    const Port* its_port = nullptr;
    for (Port& port : ports_)
        for (auto& [slot, socket] : port.slots)
            if (std::erase_if(socket.users, is_it) != 0) its_port = &port;
    close([&](const Port& port, unsigned slot) { return &port == its_port && slot == port.key(target.slot); });
}

COHORT_DECL void DatagramPorts::leave(const DispatchTarget& target, bool successor) {
    const auto is_its = [&](const User& user) { return user.worker == target.id; };
    for (Port& port : ports_)
        for (auto& [slot, socket] : port.slots) std::erase_if(socket.users, is_its);
    if (!successor) close([&](const Port& port, unsigned slot) { return slot == port.key(target.slot); });
}

COHORT_DECL void DatagramPorts::stop() {
    close([](const Port&, unsigned) { return true; });
}

} // namespace cohort::detail
