// SPDX-License-Identifier: MIT
// The bodies of accepting_dispatcher.hpp (layer 3).
#pragma once

#include <cohort/detail/listen/accepting_dispatcher.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

namespace cohort::detail {

COHORT_DECL AcceptedPort* AcceptingDispatcher::make(const Endpoint& endpoint, std::error_code& error) {
    auto listener = open_socket(endpoint, endpoint, 0, false, error);
    if (error) return nullptr;
    auto port = std::make_unique<AcceptedPort>();
    port->requested = endpoint;
    port->bound = bound_endpoint(listener.get(), endpoint);
    port->distributor = share<Distributor>(context_, port->bound, make_scheduler_());
    port->accepting = share<AcceptLoop>(context_.executor, std::move(listener), port->distributor);
    return &add(std::move(port));
}

COHORT_DECL void AcceptingDispatcher::prepare() {
    for (const auto& endpoint : context_.options.listen) {
        std::error_code error;
        auto* const port = make(endpoint, error);
        if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
        port->permanent = true;
    }
}

COHORT_DECL Grant AcceptingDispatcher::open(DispatchTarget& target, const Endpoint& endpoint) {
    check_share(target);
    Grant grant;
    auto* port = find(target, endpoint);
    if (port == nullptr) port = make(endpoint, grant.error);
    if (grant.error) return grant;
    grant.listener = port->distributor->join(target);
    grant.endpoint = port->bound;
    port->accepting->start();
    return grant;
}

COHORT_DECL void AcceptingDispatcher::close(DispatchTarget& target, ListenerId listener) {
    auto* const port = find(target, listener);
    if (port == nullptr) return;
    port->distributor->retire(target, listener);
    close_unused(&stop_accepting);
}

COHORT_DECL void AcceptingDispatcher::drain(DispatchTarget& target) {
    for (const auto& port : ports_) {
        if (is_last(*port, target)) port->accepting->drain();
        port->distributor->retire(target);
    }
}

COHORT_DECL void AcceptingDispatcher::leave(DispatchTarget& target, bool successor) {
    for (const auto& port : ports_) port->distributor->leave(target);
    if (!successor) close_unused(&stop_accepting);
}

COHORT_DECL std::vector<QueueStats> AcceptingDispatcher::queues() const {
    std::vector<QueueStats> result;
    for (const auto& port : ports_)
        if (!port->distributor->is_closed()) result.push_back(port->accepting->queue());
    return result;
}

COHORT_DECL std::vector<OpenListener> AcceptingDispatcher::listeners() const {
    std::vector<OpenListener> result;
    for (const auto& port : ports_)
        if (!port->distributor->is_closed())
            result.push_back({port->requested, port->bound, 0, port->accepting->descriptor()});
    return result;
}

COHORT_DECL void AcceptingDispatcher::stop(bool goes_on) {
    close_all(goes_on, [goes_on](AcceptedPort& port) {
        if (!goes_on) port.accepting->drain();
        port.accepting->close();
    });
}

} // namespace cohort::detail
