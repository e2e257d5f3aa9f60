// SPDX-License-Identifier: MIT
// PortTable: the addresses a cluster listens on, and what every dispatcher does alike with them (layer 3).
#pragma once

#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/listen/distributor.hpp>
#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/shared_address.hpp>
#include <cohort/detail/socket/socket_file.hpp>
#include <cohort/detail/socket/transferred_listeners.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/error.hpp>
#include <cohort/mode.hpp>

#include <algorithm>
#include <memory>
#include <system_error>
#include <vector>

namespace cohort::detail {

/// One address, open as long as somebody listens on it, or is about to.
struct Port : SharedAddress {
    std::shared_ptr<Distributor> distributor;
    SocketFile file;
    bool permanent = false; ///< named in Options::listen: open until the end
};

/// The part of a dispatcher that finds the port a worker speaks of. `P` derives from Port.
template <std::derived_from<Port> P>
class PortTable : public Dispatcher {
public:
    void give(const Endpoint& bound, TransferredConnection connection) override {
        for (const auto& port : ports_)
            if (port->bound == bound && !port->distributor->is_closed())
                return port->distributor->give_again(std::move(connection));
    }
    void lost(DispatchTarget& target, ListenerId listener, std::uint64_t first, std::uint32_t count) override {
        if (P* const port = find(target, listener)) port->distributor->lost(target, listener, first, count);
    }
    std::size_t waiting() const noexcept override {
        std::size_t sum = 0;
        for (const auto& port : ports_) sum += port->distributor->waiting();
        return sum;
    }
    void took(DispatchTarget& target, ListenerId listener) override {
        if (P* const port = find(target, listener)) port->distributor->took(target, listener);
    }

protected:
    explicit PortTable(const DispatchContext& context) : context_(context) {}
    ~PortTable() override {
        for (const auto& port : ports_) port->distributor->abandon();
    }

    P& add(std::unique_ptr<P> port) {
        port->file = SocketFile(port->requested);
        return *ports_.emplace_back(std::move(port));
    }

    /// The port for this request. Port 0 means the same port in all workers; a worker that asks for it twice means two.
    P* find(const DispatchTarget& target, const Endpoint& endpoint) const {
        for (const auto& port : ports_) {
            const bool another = endpoint.port() == 0 && endpoint.is_tcp() && port->distributor->has(target);
            if (port->is_meant_by(endpoint) && !another && !port->distributor->is_closed()) return port.get();
        }
        return nullptr;
    }
    P* find(const DispatchTarget& target, ListenerId listener) const {
        for (const auto& port : ports_)
            if (port->distributor->has(target, listener)) return port.get();
        return nullptr;
    }

    /// One worker may have as many listeners as are left to others, and leave a share of this process's descriptors
    /// behind in connections that were on their way to those it has closed. Throws Errc::too_many, or no_free_slot.
    void check_share(const DispatchTarget& target) const {
        std::size_t listeners = 0;
        std::size_t left = 0;
        for (const auto& port : ports_) {
            const auto held = port->distributor->held(target);
            listeners += held.listeners;
            left += held.left;
        }
        const std::size_t free = context_.page.free_cells();
        if (free == 0) throw std::system_error(make_error_code(Errc::no_free_slot));
        if (listeners >= free || left >= share_of_descriptors())
            throw std::system_error(make_error_code(Errc::too_many));
    }

    /// What waits there is this worker's to serve, although it is to leave: the port will close with it.
    static bool is_last(const P& port, const DispatchTarget& target) noexcept {
        return !port.permanent && port.distributor->has_only(target);
    }

    /// Calls `close_port(port)` for the ports whose last worker has ended without a successor, to free the address.
    template <class Close>
    void close_unused(Close close_port) {
        for (const auto& port : ports_)
            if (!port->permanent && !port->distributor->has_workers()) close_once(*port, close_port);
        std::erase_if(ports_,
                      [](const auto& port) { return port->distributor->is_closed() && port->distributor->is_empty(); });
    }
    /// `goes_on`: another process listens there.
    template <class Close>
    void close_all(bool goes_on, Close close_port) {
        for (const auto& port : ports_) {
            if (goes_on) port->file.release();
            close_once(*port, close_port);
        }
    }
    /// Returns a listener that the old master has transferred, or a new one.
    UniqueFd open_socket(const Endpoint& requested, const Endpoint& bound, unsigned slot, bool reuse_port,
                         std::error_code& error) {
        error.clear();
        const int backlog = context_.options.backlog;
        if (UniqueFd taken = take_listener(context_.transferred, requested, slot, reuse_port, backlog)) return taken;
        return open_listener(bound, reuse_port, backlog, error);
    }

    DispatchContext context_;
    std::vector<std::unique_ptr<P>> ports_;

private:
    template <class Close>
    static void close_once(P& port, Close& close_port) {
        if (port.distributor->is_closed()) return;
        port.file.remove();
        close_port(port);
        port.distributor->close();
    }
};

} // namespace cohort::detail
