// SPDX-License-Identifier: MIT
// AcceptingDispatcher: the master's half of every mode in which it accepts and hands connections over (layer 3).
#pragma once

#include <cohort/detail/listen/accept_loop.hpp>
#include <cohort/detail/listen/port_table.hpp>

#include <memory>
#include <vector>

namespace cohort::detail {

/// A port on which the master accepts.
struct AcceptedPort : Port {
    std::shared_ptr<AcceptLoop> accepting;
};

/// Which worker gets a connection is the scheduler's to say.
class AcceptingDispatcher : public PortTable<AcceptedPort> {
public:
    AcceptingDispatcher(DispatchContext context, MakeScheduler make_scheduler)
        : PortTable(context), make_scheduler_(make_scheduler) {}
    ~AcceptingDispatcher() { stop(false); }

    void prepare();
    std::vector<int> inherited(unsigned) const { return {}; }
    Grant open(DispatchTarget& target, const Endpoint& endpoint);
    void close(DispatchTarget& target, ListenerId listener);
    void drain(DispatchTarget& target);
    void leave(DispatchTarget& target, bool successor);
    std::vector<QueueStats> queues() const;
    std::vector<OpenListener> listeners() const;
    void stop(bool goes_on);

private:
    AcceptedPort* make(const Endpoint& endpoint, std::error_code& error);
    static void stop_accepting(AcceptedPort& port) { port.accepting->close(); }

    MakeScheduler make_scheduler_;
};

inline AcceptedPort* AcceptingDispatcher::make(const Endpoint& endpoint, std::error_code& error) {
    auto listener = PortTable::open(endpoint, endpoint, 0, false, error);
    if (error) return nullptr;
    auto port = std::make_unique<AcceptedPort>();
    port->requested = endpoint;
    port->bound = bound_endpoint(listener.get(), endpoint);
    port->distributor = std::make_shared<Distributor>(context_, port->bound, make_scheduler_());
    port->accepting = std::make_shared<AcceptLoop>(context_.executor, std::move(listener), port->distributor);
    return &add(std::move(port));
}

inline void AcceptingDispatcher::prepare() {
    for (const auto& endpoint : context_.options.listen) {
        std::error_code error;
        auto* const port = make(endpoint, error);
        if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
        port->permanent = true;
    }
}

inline Grant AcceptingDispatcher::open(DispatchTarget& target, const Endpoint& endpoint) {
    Grant grant;
    auto* port = find(target, endpoint);
    if (port == nullptr) port = make(endpoint, grant.error);
    if (grant.error) return grant;
    grant.listener = port->distributor->join(target);
    grant.endpoint = port->bound;
    port->accepting->start();
    return grant;
}

inline void AcceptingDispatcher::close(DispatchTarget& target, ListenerId listener) {
    auto* const port = find(target, listener);
    if (port == nullptr) return;
    port->distributor->retire(target, listener);
    close_unused(&stop_accepting);
}

inline void AcceptingDispatcher::drain(DispatchTarget& target) {
    for (const auto& port : ports_) {
        if (is_last(*port, target)) port->accepting->drain();
        port->distributor->retire(target);
    }
}

inline void AcceptingDispatcher::leave(DispatchTarget& target, bool successor) {
    for (const auto& port : ports_) port->distributor->leave(target);
    if (!successor) close_unused(&stop_accepting);
}

inline std::vector<QueueStats> AcceptingDispatcher::queues() const {
    std::vector<QueueStats> result;
    for (const auto& port : ports_)
        if (!port->distributor->is_closed()) result.push_back(port->accepting->queue());
    return result;
}

inline std::vector<OpenListener> AcceptingDispatcher::listeners() const {
    std::vector<OpenListener> result;
    for (const auto& port : ports_)
        if (!port->distributor->is_closed())
            result.push_back({port->requested, port->bound, 0, port->accepting->descriptor()});
    return result;
}

inline void AcceptingDispatcher::stop(bool goes_on) {
    close_all(goes_on, [goes_on](AcceptedPort& port) {
        if (!goes_on) port.accepting->drain();
        port.accepting->close();
    });
}

} // namespace cohort::detail
