// SPDX-License-Identifier: MIT
// RoundRobin: the master accepts and hands the connections to the workers in turn (layer 3).
#pragma once

#include <cohort/detail/accepting.hpp>
#include <cohort/detail/handed_over.hpp>
#include <cohort/detail/listen_socket.hpp>
#include <cohort/detail/port_table.hpp>
#include <cohort/mode.hpp>

#include <memory>
#include <vector>

namespace cohort {

/// Even distribution, and a worker that is stuck or full gets nothing new. Costs a system call to pass each batch.
struct RoundRobin {
    static constexpr const char* name = "round-robin";
    class Dispatcher;
    class Intake;
};

namespace detail {

/// A port on which the master accepts.
struct AcceptedPort : Port {
    std::shared_ptr<AcceptLoop> accepting;
};

} // namespace detail

class RoundRobin::Dispatcher : public detail::PortTable<detail::AcceptedPort> {
public:
    explicit Dispatcher(DispatchContext context) : PortTable(context) {}
    ~Dispatcher() { stop(); }

    void prepare();
    std::vector<int> inherited(unsigned) const { return {}; }
    Grant open(Member& member, const Endpoint& endpoint);
    void close(Member& member, detail::ListenerId listener);
    void drain(Member& member);
    void leave(Member& member, bool successor);
    void stop();

private:
    detail::AcceptedPort* make(const Endpoint& endpoint, std::error_code& error);
    static void stop_accepting(detail::AcceptedPort& port) { port.accepting->close(); }
};

/// Connections arrive with the master's messages.
class RoundRobin::Intake final : public detail::HandedOver {
public:
    using HandedOver::HandedOver;
};

static_assert(Mode<RoundRobin>);

inline detail::AcceptedPort* RoundRobin::Dispatcher::make(const Endpoint& endpoint, std::error_code& error) {
    auto listener = detail::open_listener(endpoint, false, context_.options.backlog, error);
    if (error) return nullptr;
    auto port = std::make_unique<detail::AcceptedPort>();
    port->requested = endpoint;
    port->bound = detail::local_endpoint(listener.get());
    port->handover = std::make_shared<detail::Handover>(context_, port->bound);
    port->accepting = std::make_shared<detail::AcceptLoop>(context_.executor, std::move(listener), port->handover);
    return &add(std::move(port));
}

inline void RoundRobin::Dispatcher::prepare() {
    for (const auto& endpoint : context_.options.listen) {
        std::error_code error;
        auto* const port = make(endpoint, error);
        if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
        port->permanent = true;
    }
}

inline Grant RoundRobin::Dispatcher::open(Member& member, const Endpoint& endpoint) {
    Grant grant;
    auto* port = find(member, endpoint);
    if (port == nullptr) port = make(endpoint, grant.error);
    if (grant.error) return grant;
    grant.listener = port->handover->join(member);
    grant.endpoint = port->bound;
    port->accepting->start();
    return grant;
}

inline void RoundRobin::Dispatcher::close(Member& member, detail::ListenerId listener) {
    auto* const port = find(member, listener);
    if (port == nullptr) return;
    port->handover->retire(member, listener);
    close_unused(&stop_accepting);
}

inline void RoundRobin::Dispatcher::drain(Member& member) {
    for (const auto& port : ports_) port->handover->retire(member);
}

inline void RoundRobin::Dispatcher::leave(Member& member, bool successor) {
    for (const auto& port : ports_) port->handover->leave(member);
    if (!successor) close_unused(&stop_accepting);
}

inline void RoundRobin::Dispatcher::stop() {
    close_all([](detail::AcceptedPort& port) {
        port.accepting->drain();
        port.accepting->close();
    });
}

} // namespace cohort
