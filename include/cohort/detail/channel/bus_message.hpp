// SPDX-License-Identifier: MIT
// What goes to the bus and comes from it (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/channel/bus_client.hpp>

namespace cohort::detail {

using BusChannel = Channel<Published>;

} // namespace cohort::detail
