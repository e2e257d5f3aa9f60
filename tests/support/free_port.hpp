// SPDX-License-Identifier: MIT
// Ports for those who must be told a number: everyone else listens on port 0.
#pragma once

#include <cstdint>

namespace test {

/// The number of a TCP port that nobody has, neither with IPv4 nor with IPv6, and that nobody is given by chance: it is
/// none that the kernel assigns for port 0 (ip_local_port_range, ip(7)). Each call gives another.
std::uint16_t free_port();

} // namespace test
