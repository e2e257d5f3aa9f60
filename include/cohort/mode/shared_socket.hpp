// SPDX-License-Identifier: MIT
// SharedSocket: every worker accepts by itself, on the SO_REUSEPORT listener of its slot (layer 3).
#pragma once

#include <cohort/detail/accepting.hpp>
#include <cohort/detail/handed_over.hpp>
#include <cohort/detail/listen_socket.hpp>
#include <cohort/mode.hpp>

#include <map>
#include <memory>
#include <vector>

namespace cohort {

/// The kernel distributes, by a hash of the addresses (socket(7), SO_REUSEPORT); nothing passes through the master.
///
/// A listener belongs to the master and to a slot. When its worker goes, the kernel's queue stays, the successor
/// continues with it, and as long as nobody serves it the master accepts from it for the other workers. A Unix socket
/// has one listener, which all workers share.
struct SharedSocket {
    static constexpr const char* name = "shared-socket";
    class Dispatcher;
    class Intake;
};

class SharedSocket::Dispatcher {
public:
    explicit Dispatcher(DispatchContext context) : context_(context) {}
    Dispatcher(const Dispatcher&) = delete;
    Dispatcher& operator=(const Dispatcher&) = delete;
    ~Dispatcher() {
        stop();
        for (const auto& port : ports_) port->handover->abandon();
    }

    void prepare();
    std::vector<int> inherited(unsigned slot);
    Grant open(Member& member, const Endpoint& endpoint);
    void close(Member& member, detail::ListenerId listener);
    void give_back(Member& member, detail::ListenerId listener, detail::UniqueFd connection);
    void lost(Member& member, detail::ListenerId listener, std::uint64_t first, std::uint32_t count);
    void took(Member& member, detail::ListenerId listener);
    void drain(Member& member);
    void leave(Member& member, bool successor);
    void stop();

private:
    struct SlotListener {
        std::shared_ptr<detail::AcceptLoop> accepting; // by the master, while no worker serves it
        std::vector<detail::ListenerId> served_by;
    };
    struct Port {
        Endpoint requested;
        Endpoint bound;
        std::shared_ptr<detail::Handover> handover;
        std::map<unsigned, SlotListener> slots;
        bool permanent = false; // named in Options::listen

        unsigned slot_of(const Member& member) const noexcept { return requested.is_unix() ? 0 : member.slot; }
    };

    Port* find(const Member& member, const Endpoint& endpoint);
    Port* find(const Member& member, detail::ListenerId listener);
    Port* make(const Endpoint& endpoint, unsigned slot, std::error_code& error);
    SlotListener* slot_listener(Port& port, unsigned slot, std::error_code& error);
    void adopt_unserved(Port& port);
    void close_unused();
    static void close(Port& port);

    DispatchContext context_;
    std::vector<std::unique_ptr<Port>> ports_;
};

/// Connections come from the slot's listener, and at times from the master.
class SharedSocket::Intake final : public cohort::Intake {
public:
    explicit Intake(IntakeContext context)
        : listener_(context.executor, std::move(context.descriptor)),
          rest_(context.executor),
          handed_over_(std::move(context)) {}

    Task<std::optional<Socket>> accept() override;
    void deliver(std::uint64_t first, std::uint32_t count, std::vector<detail::UniqueFd> connections) override {
        handed_over_.deliver(first, count, std::move(connections));
    }
    void forget(std::uint64_t first, std::uint32_t count) override { handed_over_.forget(first, count); }
    void stop() override {
        handed_over_.stop();
        listener_.close();
    }
    void close() override {
        handed_over_.close();
        listener_.close();
    }
    const Endpoint& endpoint() const noexcept override { return handed_over_.endpoint(); }

private:
    std::optional<Socket> accept_own(int& error);
    void watch();

    detail::AsyncFd listener_;
    asio::steady_timer rest_;
    detail::HandedOver handed_over_;
    bool watching_ = false;
};

static_assert(Mode<SharedSocket>);

/// The first listener of an address must not join a group of somebody else's: SO_REUSEPORT alone would let two
/// clusters of one user share a port unnoticed.
inline SharedSocket::Dispatcher::Port* SharedSocket::Dispatcher::make(const Endpoint& endpoint, unsigned slot,
                                                                      std::error_code& error) {
    if (!endpoint.is_unix()) {
        const auto probe = detail::open_listener(endpoint, false, 1, error);
        if (error) return nullptr;
    }
    auto port = std::make_unique<Port>();
    port->requested = port->bound = endpoint;
    port->handover = std::make_shared<detail::Handover>(context_, endpoint);
    if (slot_listener(*port, slot, error) == nullptr) return nullptr;
    ports_.push_back(std::move(port));
    return ports_.back().get();
}

inline SharedSocket::Dispatcher::SlotListener* SharedSocket::Dispatcher::slot_listener(Port& port, unsigned slot,
                                                                                       std::error_code& error) {
    if (const auto found = port.slots.find(slot); found != port.slots.end()) return &found->second;
    auto listener = detail::open_listener(port.bound, true, context_.options.backlog, error);
    if (error) return nullptr;
    port.bound = detail::local_endpoint(listener.get());
    SlotListener& made = port.slots[slot];
    made.accepting = std::make_shared<detail::AcceptLoop>(context_.executor, std::move(listener), port.handover);
    return &made;
}

inline void SharedSocket::Dispatcher::prepare() {
    for (const auto& endpoint : context_.options.listen) {
        std::error_code error;
        Port* const port = make(endpoint, 0, error);
        if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
        port->permanent = true;
    }
}

inline std::vector<int> SharedSocket::Dispatcher::inherited(unsigned slot) {
    std::vector<int> descriptors;
    for (const auto& port : ports_) {
        std::error_code error;
        if (!port->permanent) continue;
        const auto* const listener = slot_listener(*port, port->requested.is_unix() ? 0 : slot, error);
        if (listener == nullptr) throw std::system_error(error, "listen on " + port->bound.to_string());
        descriptors.push_back(listener->accepting->descriptor());
        adopt_unserved(*port);
    }
    return descriptors;
}

/// Port 0 means the same port in all workers; a worker that asks for it twice means two ports.
inline SharedSocket::Dispatcher::Port* SharedSocket::Dispatcher::find(const Member& member, const Endpoint& endpoint) {
    for (const auto& port : ports_) {
        const bool another = endpoint.port() == 0 && !endpoint.is_unix() && port->handover->has(member);
        if (port->requested == endpoint && !another && !port->handover->is_closed()) return port.get();
    }
    return nullptr;
}

inline SharedSocket::Dispatcher::Port* SharedSocket::Dispatcher::find(const Member& member,
                                                                      detail::ListenerId listener) {
    for (const auto& port : ports_)
        if (port->handover->has(member, listener)) return port.get();
    return nullptr;
}

inline Grant SharedSocket::Dispatcher::open(Member& member, const Endpoint& endpoint) {
    Grant grant;
    const unsigned slot = endpoint.is_unix() ? 0 : member.slot;
    Port* port = find(member, endpoint);
    if (port == nullptr) port = make(endpoint, slot, grant.error);
    SlotListener* const listener = port == nullptr ? nullptr : slot_listener(*port, slot, grant.error);
    if (listener == nullptr) return grant;
    grant.listener = port->handover->join(member);
    grant.endpoint = port->bound;
    grant.descriptor = listener->accepting->descriptor();
    listener->served_by.push_back(grant.listener);
    adopt_unserved(*port);
    return grant;
}

/// Nobody waits in a queue that no worker serves, as long as others can.
inline void SharedSocket::Dispatcher::adopt_unserved(Port& port) {
    for (auto& [slot, listener] : port.slots) {
        if (listener.served_by.empty() && port.handover->has_takers())
            listener.accepting->start();
        else
            listener.accepting->stop();
    }
}

inline void SharedSocket::Dispatcher::close(Member& member, detail::ListenerId listener) {
    Port* const port = find(member, listener);
    if (port == nullptr) return;
    std::erase(port->slots[port->slot_of(member)].served_by, listener);
    port->handover->retire(member, listener);
    adopt_unserved(*port);
    close_unused();
}

inline void SharedSocket::Dispatcher::give_back(Member& member, detail::ListenerId listener,
                                                detail::UniqueFd connection) {
    Port* const port = find(member, listener);
    if (port == nullptr) return;
    port->handover->give(std::move(connection));
    port->handover->flush();
}

inline void SharedSocket::Dispatcher::lost(Member& member, detail::ListenerId listener, std::uint64_t first,
                                           std::uint32_t count) {
    if (Port* const port = find(member, listener)) port->handover->lost(member, listener, first, count);
}

inline void SharedSocket::Dispatcher::took(Member& member, detail::ListenerId listener) {
    if (Port* const port = find(member, listener)) port->handover->took(member, listener);
}

inline void SharedSocket::Dispatcher::drain(Member& member) {
    for (const auto& port : ports_) {
        for (auto& [slot, listener] : port->slots)
            std::erase_if(listener.served_by, [&](auto id) { return port->handover->has(member, id); });
        port->handover->retire(member);
        adopt_unserved(*port);
    }
}

inline void SharedSocket::Dispatcher::leave(Member& member, bool successor) {
    drain(member);
    for (const auto& port : ports_) port->handover->leave(member);
    if (!successor) close_unused();
}

inline void SharedSocket::Dispatcher::close(Port& port) {
    if (port.handover->is_closed()) return;
    for (auto& [slot, listener] : port.slots) listener.accepting->close();
    port.handover->close();
    detail::remove_path(port.requested);
}

/// The last worker that listened has gone for good: the port is free again.
inline void SharedSocket::Dispatcher::close_unused() {
    for (const auto& port : ports_)
        if (!port->permanent && !port->handover->has_takers()) close(*port);
    std::erase_if(ports_, [](const auto& port) { return port->handover->is_closed() && port->handover->is_empty(); });
}

inline void SharedSocket::Dispatcher::stop() {
    for (const auto& port : ports_) {
        if (port->handover->is_closed()) continue;
        for (auto& [slot, listener] : port->slots) listener.accepting->drain();
        close(*port);
    }
}

/// Hands its caller the connection itself, or says why there is none.
inline std::optional<Socket> SharedSocket::Intake::accept_own(int& error) {
    error = 0;
    while (listener_.is_open()) {
        detail::UniqueFd connection(detail::System::current().accept(listener_.get()));
        if (connection) return handed_over_.to_socket(std::move(connection));
        error = errno;
        if (!detail::concerns_one_connection(error)) break;
    }
    return std::nullopt;
}

/// Wakes accept() when the listener has something, as the arrival of a handed-over connection does.
inline void SharedSocket::Intake::watch() {
    if (watching_ || !listener_.is_open()) return;
    watching_ = true;
    listener_.async_readable([keep = shared_from_this(), this](std::error_code) {
        watching_ = false;
        handed_over_.notify();
    });
}

inline Task<std::optional<Socket>> SharedSocket::Intake::accept() {
    const auto keep = shared_from_this();
    for (;;) {
        if (auto socket = handed_over_.take()) co_return socket;
        if (handed_over_.is_finished()) co_return std::nullopt;
        int error = 0;
        if (auto socket = accept_own(error)) co_return socket;
        if (error != 0 && !detail::would_block(error)) {
            rest_.expires_after(detail::accept_rest);
            co_await rest_.async_wait(asio::use_awaitable);
            continue;
        }
        watch();
        co_await handed_over_.wait();
        detail::throw_if_cancelled(co_await asio::this_coro::cancellation_state);
    }
}

} // namespace cohort
