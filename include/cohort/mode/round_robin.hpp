// SPDX-License-Identifier: MIT
// RoundRobin: the master accepts and hands the connections to the workers in turn (layer 3).
#pragma once

#include <cohort/detail/accepting.hpp>
#include <cohort/detail/handed_over.hpp>
#include <cohort/detail/listen_socket.hpp>
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

class RoundRobin::Dispatcher {
public:
    explicit Dispatcher(DispatchContext context) : context_(context) {}
    Dispatcher(const Dispatcher&) = delete;
    Dispatcher& operator=(const Dispatcher&) = delete;
    ~Dispatcher() {
        stop();
        for (const auto& port : ports_) port->handover->abandon();
    }

    void prepare();
    std::vector<int> inherited(unsigned) const { return {}; }
    Grant open(Member& member, const Endpoint& endpoint);
    void close(Member& member, detail::ListenerId listener);
    void give_back(Member& member, detail::ListenerId listener, detail::UniqueFd connection);
    void lost(Member& member, detail::ListenerId listener, std::uint64_t first, std::uint32_t count);
    void took(Member& member, detail::ListenerId listener);
    void drain(Member& member);
    void leave(Member& member, bool successor);
    void stop();

private:
    /// One address of the cluster, open as long as somebody listens on it, or is about to.
    struct Port {
        Endpoint requested;
        Endpoint bound;
        std::shared_ptr<detail::Handover> handover;
        std::shared_ptr<detail::AcceptLoop> accepting;
        bool permanent = false; // named in Options::listen
    };

    Port* find(const Member& member, const Endpoint& endpoint);
    Port* find(const Member& member, detail::ListenerId listener);
    Port* make(const Endpoint& endpoint, std::error_code& error);
    void close_unused();

    DispatchContext context_;
    std::vector<std::unique_ptr<Port>> ports_;
};

/// Connections arrive with the master's messages.
class RoundRobin::Intake final : public cohort::Intake {
public:
    explicit Intake(IntakeContext context) : handed_over_(std::move(context)) {}

    Task<std::optional<Socket>> accept() override;
    void deliver(std::uint64_t first, std::uint32_t count, std::vector<detail::UniqueFd> connections) override {
        handed_over_.deliver(first, count, std::move(connections));
    }
    void forget(std::uint64_t first, std::uint32_t count) override { handed_over_.forget(first, count); }
    void stop() override { handed_over_.stop(); }
    void close() override { handed_over_.close(); }
    const Endpoint& endpoint() const noexcept override { return handed_over_.endpoint(); }

private:
    detail::HandedOver handed_over_;
};

static_assert(Mode<RoundRobin>);

inline RoundRobin::Dispatcher::Port* RoundRobin::Dispatcher::make(const Endpoint& endpoint, std::error_code& error) {
    auto listener = detail::open_listener(endpoint, false, context_.options.backlog, error);
    if (error) return nullptr;
    auto port = std::make_unique<Port>();
    port->requested = endpoint;
    port->bound = detail::local_endpoint(listener.get());
    port->handover = std::make_shared<detail::Handover>(context_, port->bound);
    port->accepting = std::make_shared<detail::AcceptLoop>(context_.executor, std::move(listener), port->handover);
    ports_.push_back(std::move(port));
    return ports_.back().get();
}

inline void RoundRobin::Dispatcher::prepare() {
    for (const auto& endpoint : context_.options.listen) {
        std::error_code error;
        Port* const port = make(endpoint, error);
        if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
        port->permanent = true;
    }
}

/// Port 0 means the same port in all workers; a worker that asks for it twice means two ports.
inline RoundRobin::Dispatcher::Port* RoundRobin::Dispatcher::find(const Member& member, const Endpoint& endpoint) {
    for (const auto& port : ports_) {
        const bool another = endpoint.port() == 0 && !endpoint.is_unix() && port->handover->has(member);
        if (port->requested == endpoint && !another && !port->handover->is_closed()) return port.get();
    }
    return nullptr;
}

inline RoundRobin::Dispatcher::Port* RoundRobin::Dispatcher::find(const Member& member, detail::ListenerId listener) {
    for (const auto& port : ports_)
        if (port->handover->has(member, listener)) return port.get();
    return nullptr;
}

inline Grant RoundRobin::Dispatcher::open(Member& member, const Endpoint& endpoint) {
    Grant grant;
    Port* port = find(member, endpoint);
    if (port == nullptr) port = make(endpoint, grant.error);
    if (grant.error) return grant;
    grant.listener = port->handover->join(member);
    grant.endpoint = port->bound;
    port->accepting->start();
    return grant;
}

inline void RoundRobin::Dispatcher::close(Member& member, detail::ListenerId listener) {
    Port* const port = find(member, listener);
    if (port == nullptr) return;
    port->handover->retire(member, listener);
    close_unused();
}

inline void RoundRobin::Dispatcher::give_back(Member& member, detail::ListenerId listener,
                                              detail::UniqueFd connection) {
    Port* const port = find(member, listener);
    if (port == nullptr) return;
    port->handover->give(std::move(connection));
    port->handover->flush();
}

inline void RoundRobin::Dispatcher::lost(Member& member, detail::ListenerId listener, std::uint64_t first,
                                         std::uint32_t count) {
    if (Port* const port = find(member, listener)) port->handover->lost(member, listener, first, count);
}

inline void RoundRobin::Dispatcher::took(Member& member, detail::ListenerId listener) {
    if (Port* const port = find(member, listener)) port->handover->took(member, listener);
}

inline void RoundRobin::Dispatcher::drain(Member& member) {
    for (const auto& port : ports_) port->handover->retire(member);
}

inline void RoundRobin::Dispatcher::leave(Member& member, bool successor) {
    for (const auto& port : ports_) port->handover->leave(member);
    if (!successor) close_unused();
}

/// The last worker that listened has gone for good: the port is free again.
inline void RoundRobin::Dispatcher::close_unused() {
    for (const auto& port : ports_) {
        if (port->permanent || port->handover->has_takers()) continue;
        port->accepting->close();
        port->handover->close();
        detail::remove_path(port->requested);
    }
    std::erase_if(ports_, [](const auto& port) { return port->handover->is_closed() && port->handover->is_empty(); });
}

inline void RoundRobin::Dispatcher::stop() {
    for (const auto& port : ports_) {
        if (port->handover->is_closed()) continue;
        port->accepting->drain();
        port->accepting->close();
        port->handover->close();
        detail::remove_path(port->requested);
    }
}

inline Task<std::optional<Socket>> RoundRobin::Intake::accept() {
    for (;;) {
        if (auto socket = handed_over_.take()) co_return socket;
        if (handed_over_.is_finished()) co_return std::nullopt;
        co_await handed_over_.wait();
        detail::throw_if_cancelled(co_await asio::this_coro::cancellation_state);
    }
}

} // namespace cohort
