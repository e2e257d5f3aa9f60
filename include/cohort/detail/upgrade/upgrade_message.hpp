// SPDX-License-Identifier: MIT
// What a master and the one that replaces it say to each other (layer 1).
#pragma once

#include <cohort/detail/control/message_set.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/serialize.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace cohort::detail {

/// A socket that is bound, attached: a listener, or one for datagrams.
struct SocketTransfer {
    static constexpr std::uint8_t number = 0;

    Endpoint requested;
    std::uint32_t slot = 0;
    bool datagrams = false;
};
/// There are no more. `endpoints`: how many the worker of each slot shares.
struct SocketsTransferred {
    static constexpr std::uint8_t number = 1;

    std::vector<std::uint32_t> endpoints;
};
/// An open connection, attached, that a worker has given back.
struct ConnectionTransfer {
    static constexpr std::uint8_t number = 2;

    Endpoint endpoint;
    std::string state;
};
/// The control socket, attached.
struct ControlTransfer {
    static constexpr std::uint8_t number = 3;

    std::string path;
};
/// From now on the new master is the one that others know as the service.
struct HandedOver {
    static constexpr std::uint8_t number = 4;
};
/// The file with the process's number, locked, attached.
struct PidFileTransfer {
    static constexpr std::uint8_t number = 5;

    std::string path;
};
/// The new master's workers are ready: the old one's may leave.
struct NewMasterReady {
    static constexpr std::uint8_t number = 0;
};

using FromOldMaster =
    MessageSet<SocketTransfer, SocketsTransferred, ConnectionTransfer, ControlTransfer, HandedOver, PidFileTransfer>;
using FromNewMaster = MessageSet<NewMasterReady>;

} // namespace cohort::detail
