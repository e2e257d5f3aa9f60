// SPDX-License-Identifier: MIT
// BusChannel: the channel between the bus and its clients (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/channel/bus_client.hpp>

namespace cohort::detail {

using BusChannel = Channel<Published>;

} // namespace cohort::detail
