// SPDX-License-Identifier: MIT
// DatagramPorts: the UDP ports that the workers share, with a socket for each slot (layer 3).
#pragma once

#include <cohort/detail/control/control_message.hpp>
#include <cohort/detail/socket/shared_address.hpp>
#include <cohort/mode.hpp>

#include <map>
#include <vector>

namespace cohort::detail {

/// The answer to a worker that wants to bind.
struct Binding {
    std::error_code error; ///< why not (EADDRINUSE, EACCES, ...)
    BindingId id = 0;      ///< names what the worker has from now on
    Endpoint endpoint;     ///< with the real address and port
    int descriptor = -1;
};

/// The master's half. Every worker has the socket of its slot, so the kernel distributes and nothing passes through the
/// master. It keeps a copy: what a dead worker had not received waits for the successor. A socket that nobody has and
/// nobody is to have is closed, so that the kernel does not choose it.
class DatagramPorts {
public:
    /// `passed`: the sockets of the master before this one, if there was one.
    explicit DatagramPorts(TransferredListeners* passed = nullptr) : passed_(passed) {}

    Binding bind(const DispatchTarget& target, const Endpoint& endpoint);
    void unbind(const DispatchTarget& target, BindingId id);
    /// Called when the worker has ended. `successor`: its slot will have another worker.
    void leave(const DispatchTarget& target, bool successor);
    /// Called when no more workers will be started: closes the sockets that wait for a successor.
    void stop();
    bool empty() const noexcept { return ports_.empty(); }
    std::vector<OpenListener> sockets() const;

private:
    struct User {
        WorkerId worker = 0;
        BindingId id = 0;
    };
    struct SlotSocket {
        UniqueFd socket;
        std::vector<User> users;
    };
    struct Port : SharedAddress {
        std::map<unsigned, SlotSocket> slots;

        bool is_used_by(const DispatchTarget& target) const;
    };

    Port* find(const DispatchTarget& target, const Endpoint& endpoint);
    Port* make(const Endpoint& endpoint, unsigned slot, std::error_code& error);
    Port* make_of_passed(const Endpoint& endpoint);
    static SlotSocket* slot_socket(Port& port, unsigned slot, std::error_code& error);
    template <class Unwanted>
    void close(Unwanted is_unwanted);

    TransferredListeners* passed_;
    std::vector<Port> ports_;
    BindingId last_id_ = 0;
};

template <class Unwanted>
void DatagramPorts::close(Unwanted is_unwanted) {
    for (Port& port : ports_)
        std::erase_if(port.slots,
                      [&](const auto& slot) { return slot.second.users.empty() && is_unwanted(port, slot.first); });
    std::erase_if(ports_, [](const Port& port) { return port.slots.empty(); });
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/listen/datagram_ports.ipp>
#endif
