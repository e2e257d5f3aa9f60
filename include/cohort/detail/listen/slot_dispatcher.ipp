// SPDX-License-Identifier: MIT
// The bodies of slot_dispatcher.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/slot_dispatcher.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/socket/listen_socket.hpp>

namespace cohort::detail {

/// The first listener of an address must not join a group of somebody else's: SO_REUSEPORT alone would let two
/// clusters of one user share a port unnoticed. The probe does not listen, so nobody's connection is lost with it.
COHORT_DECL SlottedPort* SlotDispatcher::make(const Endpoint& endpoint, unsigned slot, std::error_code& error) {
    auto port = std::make_unique<SlottedPort>();
    port->requested = port->bound = endpoint;
    port->one_listener = one_listener_;
    const auto transferred =
        context_.transferred == nullptr ? std::vector<unsigned>() : context_.transferred->slots(endpoint);
    if (!port->is_shared() && transferred.empty()) {
        const auto probe = open_bound(endpoint, false, error);
        if (error) return nullptr;
    }
    port->distributor = share<Distributor>(context_, endpoint, make_scheduler<InTurn>());
    // Listeners of slots that this master does not use have queues, too, which must be served.
    for (const unsigned each : transferred)
        if (slot_listener(*port, each, error) == nullptr) return nullptr;
    if (slot_listener(*port, slot, error) == nullptr) return nullptr;
    return &add(std::move(port));
}

COHORT_DECL SlotListener* SlotDispatcher::slot_listener(SlottedPort& port, unsigned slot, std::error_code& error) {
    const unsigned key = port.key(slot);
    if (const auto found = port.slots.find(key); found != port.slots.end()) return &found->second;
    auto listener = open_socket(port.requested, port.bound, key, !port.is_shared(), error);
    if (error) return nullptr;
    port.bound = bound_endpoint(listener.get(), port.requested);
    auto& made = port.slots[key];
    made.accepting = share<AcceptLoop>(context_.executor, std::move(listener), port.distributor, true);
    return &made;
}

COHORT_DECL void SlotDispatcher::prepare() {
    for (const auto& endpoint : context_.options.listen) {
        std::error_code error;
        auto* const port = make(endpoint, 0, error);
        if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
        port->permanent = true;
    }
}

COHORT_DECL std::vector<int> SlotDispatcher::inherited(unsigned slot) {
    std::vector<int> descriptors;
    for (const auto& port : ports_) {
        std::error_code error;
        if (!port->permanent) continue;
        const auto* const listener = slot_listener(*port, slot, error);
        if (listener == nullptr) throw std::system_error(error, "listen on " + port->bound.to_string());
        listen_again(listener->accepting->descriptor(), context_.options.backlog);
        descriptors.push_back(listener->accepting->descriptor());
        adopt_unserved(*port);
    }
    return descriptors;
}

COHORT_DECL Grant SlotDispatcher::open(DispatchTarget& target, const Endpoint& endpoint) {
    check_share(target);
    Grant grant;
    auto* port = find(target, endpoint);
    if (port == nullptr) port = make(endpoint, target.slot, grant.error);
    auto* const listener = port == nullptr ? nullptr : slot_listener(*port, target.slot, grant.error);
    if (listener == nullptr) return grant;
    grant.listener = port->distributor->join(target);
    grant.endpoint = port->bound;
    grant.descriptor = listener->accepting->descriptor();
    listen_again(grant.descriptor, context_.options.backlog);
    listener->served_by.push_back(grant.listener);
    listener->is_stuck = false;
    adopt_unserved(*port);
    return grant;
}

/// Accepts from queues that no worker serves, as long as there are workers to give the connections to.
COHORT_DECL void SlotDispatcher::adopt_unserved(SlottedPort& port) {
    for (auto& [slot, listener] : port.slots) {
        if ((listener.served_by.empty() || listener.is_stuck) && port.distributor->has_workers())
            listener.accepting->start();
        else
            listener.accepting->stop();
    }
    watch();
}

COHORT_DECL void SlotDispatcher::close(DispatchTarget& target, ListenerId listener) {
    auto* const port = find(target, listener);
    if (port == nullptr) return;
    std::erase(port->slots[port->key(target.slot)].served_by, listener);
    port->distributor->retire(target, listener);
    adopt_unserved(*port);
    close_unused(&stop_listening);
}

COHORT_DECL void SlotDispatcher::drain(DispatchTarget& target) {
    for (const auto& port : ports_)
        if (is_last(*port, target)) give_out(*port);
    retire(target);
}

COHORT_DECL void SlotDispatcher::retire(DispatchTarget& target) {
    for (const auto& port : ports_) {
        for (auto& [slot, listener] : port->slots)
            std::erase_if(listener.served_by, [&](auto id) { return port->distributor->has(target, id); });
        port->distributor->retire(target);
        adopt_unserved(*port);
    }
}

COHORT_DECL void SlotDispatcher::leave(DispatchTarget& target, bool successor) {
    retire(target);
    for (const auto& port : ports_) port->distributor->leave(target);
    if (!successor) close_unused(&stop_listening);
}

COHORT_DECL std::vector<OpenListener> SlotDispatcher::listeners() const {
    std::vector<OpenListener> result;
    for (const auto& port : ports_) {
        if (port->distributor->is_closed()) continue;
        for (const auto& [slot, listener] : port->slots)
            result.push_back({port->requested, port->bound, slot, listener.accepting->descriptor()});
    }
    return result;
}

COHORT_DECL void SlotDispatcher::stop(bool goes_on) {
    watch_.cancel();
    close_all(goes_on, [goes_on](SlottedPort& port) {
        if (!goes_on) give_out(port);
        stop_listening(port);
    });
}

COHORT_DECL std::vector<QueueStats> SlotDispatcher::queues() const {
    std::vector<QueueStats> result;
    for (const auto& port : ports_) {
        for (const auto& [slot, listener] : port->slots) {
            if (port->distributor->is_closed()) continue;
            result.push_back(listener.accepting->queue());
            result.back().endpoint = port->bound;
            if (!port->is_shared()) result.back().slot = slot;
        }
    }
    return result;
}

// Looking after workers that do not accept

COHORT_DECL void SlotDispatcher::watch() {
    const auto stuck_after = context_.options.stuck_after;
    const bool wanted = std::ranges::any_of(ports_, [](const auto& port) { return port->can_be_stuck(); });
    if (watch_.is_set() || !wanted) return;
    // Looking twice is enough to know, so nobody waits for longer than stuck_after.
    watch_.expire_after(std::max(stuck_after / 2, std::chrono::milliseconds(1)),
                        action<&SlotDispatcher::check_all>(this));
}

COHORT_DECL void SlotDispatcher::check_all() {
    for (const auto& port : ports_) check(*port);
    watch();
}

COHORT_DECL void SlotDispatcher::check(SlottedPort& port) {
    for (auto& [slot, listener] : port.slots) {
        if (listener.served_by.empty()) continue;
        std::uint64_t accepted = 0;
        for (const auto id : listener.served_by) accepted += port.distributor->accepted(id);
        const bool moved = accepted != listener.accepted;
        const bool waiting = has_waiting(listener.accepting->descriptor());
        if (waiting && listener.waited && !moved && !listener.is_stuck) {
            listener.is_stuck = true;
            for (const auto id : listener.served_by) port.distributor->set_stuck(id);
        }
        if (moved) listener.is_stuck = false;
        listener.waited = waiting;
        listener.accepted = accepted;
    }
    adopt_unserved(port);
}

} // namespace cohort::detail
