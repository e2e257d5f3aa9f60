// SPDX-License-Identifier: MIT
// SharedSocket: every worker accepts by itself, on the SO_REUSEPORT listener of its slot (layer 3).
#pragma once

#include <cohort/detail/accepting.hpp>
#include <cohort/detail/handed_over.hpp>
#include <cohort/detail/listen_socket.hpp>
#include <cohort/detail/port_table.hpp>
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

namespace detail {

struct SlotListener {
    std::shared_ptr<AcceptLoop> accepting; ///< by the master, while no worker serves it
    std::vector<ListenerId> served_by;
};

/// A port with a listener for each slot.
struct SlottedPort : Port {
    std::map<unsigned, SlotListener> slots;

    unsigned key(unsigned slot) const noexcept { return requested.is_unix() ? 0 : slot; }
};

} // namespace detail

class SharedSocket::Dispatcher : public detail::PortTable<detail::SlottedPort> {
public:
    explicit Dispatcher(DispatchContext context) : PortTable(context) {}
    ~Dispatcher() { stop(); }

    void prepare();
    std::vector<int> inherited(unsigned slot);
    Grant open(Member& member, const Endpoint& endpoint);
    void close(Member& member, detail::ListenerId listener);
    void drain(Member& member);
    void leave(Member& member, bool successor);
    void stop();

private:
    detail::SlottedPort* make(const Endpoint& endpoint, unsigned slot, std::error_code& error);
    detail::SlotListener* slot_listener(detail::SlottedPort& port, unsigned slot, std::error_code& error);
    static void adopt_unserved(detail::SlottedPort& port);
    static void stop_listening(detail::SlottedPort& port) {
        for (auto& [slot, listener] : port.slots) listener.accepting->close();
    }
};

/// Connections come from the slot's listener, and at times from the master.
class SharedSocket::Intake final : public detail::HandedOver {
public:
    explicit Intake(IntakeContext its_context)
        : HandedOver(std::move(its_context)), listener_(context().executor, std::move(context().descriptor)) {}

    Task<std::optional<Socket>> accept() override;
    void stop() override {
        HandedOver::stop();
        listener_.close();
    }
    void close() override {
        HandedOver::close();
        listener_.close();
    }

private:
    std::optional<Socket> accept_own(int& error);
    void watch();

    detail::AsyncFd listener_;
    bool watching_ = false;
};

static_assert(Mode<SharedSocket>);

/// The first listener of an address must not join a group of somebody else's: SO_REUSEPORT alone would let two
/// clusters of one user share a port unnoticed. The probe does not listen, so nobody's connection is lost with it.
inline detail::SlottedPort* SharedSocket::Dispatcher::make(const Endpoint& endpoint, unsigned slot,
                                                           std::error_code& error) {
    if (!endpoint.is_unix()) {
        const auto probe = detail::open_bound(endpoint, false, error);
        if (error) return nullptr;
    }
    auto port = std::make_unique<detail::SlottedPort>();
    port->requested = port->bound = endpoint;
    port->handover = std::make_shared<detail::Handover>(context_, endpoint);
    if (slot_listener(*port, slot, error) == nullptr) return nullptr;
    return &add(std::move(port));
}

inline detail::SlotListener* SharedSocket::Dispatcher::slot_listener(detail::SlottedPort& port, unsigned slot,
                                                                     std::error_code& error) {
    const unsigned key = port.key(slot);
    if (const auto found = port.slots.find(key); found != port.slots.end()) return &found->second;
    auto listener = detail::open_listener(port.bound, true, context_.options.backlog, error);
    if (error) return nullptr;
    port.bound = detail::local_endpoint(listener.get());
    auto& made = port.slots[key];
    made.accepting = std::make_shared<detail::AcceptLoop>(context_.executor, std::move(listener), port.handover);
    return &made;
}

inline void SharedSocket::Dispatcher::prepare() {
    for (const auto& endpoint : context_.options.listen) {
        std::error_code error;
        auto* const port = make(endpoint, 0, error);
        if (error) throw std::system_error(error, "listen on " + endpoint.to_string());
        port->permanent = true;
    }
}

inline std::vector<int> SharedSocket::Dispatcher::inherited(unsigned slot) {
    std::vector<int> descriptors;
    for (const auto& port : ports_) {
        std::error_code error;
        if (!port->permanent) continue;
        const auto* const listener = slot_listener(*port, slot, error);
        if (listener == nullptr) throw std::system_error(error, "listen on " + port->bound.to_string());
        descriptors.push_back(listener->accepting->descriptor());
        adopt_unserved(*port);
    }
    return descriptors;
}

inline Grant SharedSocket::Dispatcher::open(Member& member, const Endpoint& endpoint) {
    Grant grant;
    auto* port = find(member, endpoint);
    if (port == nullptr) port = make(endpoint, member.slot, grant.error);
    auto* const listener = port == nullptr ? nullptr : slot_listener(*port, member.slot, grant.error);
    if (listener == nullptr) return grant;
    grant.listener = port->handover->join(member);
    grant.endpoint = port->bound;
    grant.descriptor = listener->accepting->descriptor();
    listener->served_by.push_back(grant.listener);
    adopt_unserved(*port);
    return grant;
}

/// Nobody waits in a queue that no worker serves, as long as others can.
inline void SharedSocket::Dispatcher::adopt_unserved(detail::SlottedPort& port) {
    for (auto& [slot, listener] : port.slots) {
        if (listener.served_by.empty() && port.handover->has_takers())
            listener.accepting->start();
        else
            listener.accepting->stop();
    }
}

inline void SharedSocket::Dispatcher::close(Member& member, detail::ListenerId listener) {
    auto* const port = find(member, listener);
    if (port == nullptr) return;
    std::erase(port->slots[port->key(member.slot)].served_by, listener);
    port->handover->retire(member, listener);
    adopt_unserved(*port);
    close_unused(&stop_listening);
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
    if (!successor) close_unused(&stop_listening);
}

inline void SharedSocket::Dispatcher::stop() {
    close_all([](detail::SlottedPort& port) {
        for (auto& [slot, listener] : port.slots) listener.accepting->drain();
        stop_listening(port);
    });
}

/// Hands its caller the connection itself, or says why there is none.
inline std::optional<Socket> SharedSocket::Intake::accept_own(int& error) {
    error = 0;
    while (listener_.is_open()) {
        detail::UniqueFd connection(detail::System::current().accept(listener_.get()));
        if (connection) return to_socket(std::move(connection));
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
        notify();
    });
}

inline Task<std::optional<Socket>> SharedSocket::Intake::accept() {
    const auto keep = shared_from_this();
    for (;;) {
        if (auto socket = take()) co_return socket;
        if (is_finished()) co_return std::nullopt;
        int error = 0;
        if (auto socket = accept_own(error)) co_return socket;
        if (error != 0 && !detail::would_block(error)) {
            // Not shared: another coroutine may rest, too.
            asio::steady_timer rest(context().executor, detail::accept_rest);
            co_await rest.async_wait(asio::use_awaitable);
            continue;
        }
        watch();
        co_await wait();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        detail::throw_if_cancelled(cancellation);
    }
}

} // namespace cohort
