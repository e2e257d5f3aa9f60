// SPDX-License-Identifier: MIT
// What goes to the bus and comes from it (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/channel/bus_client.hpp>
#include <cohort/duplex.hpp>

#include <string>
#include <variant>

namespace cohort::detail {

/// Asks for everything that is published on a topic from now on. A call; the reply is empty.
struct Subscribe {
    std::string topic;
};

using ToBus = std::variant<Subscribe, Published>;
using BusChannel = Channel<Duplex<ToBus, Published>>;

} // namespace cohort::detail
