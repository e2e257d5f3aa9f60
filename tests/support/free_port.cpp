// SPDX-License-Identifier: MIT
#include "free_port.hpp"

#include <cohort/endpoint.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <system_error>

#include <unistd.h>

namespace test {

namespace {

bool is_free(const cohort::Endpoint& endpoint) {
    std::error_code error;
    cohort::detail::open_listener(endpoint, false, 1, error);
    return error != std::errc::address_in_use; // a host without IPv6 has nobody there
}

} // namespace

std::uint16_t free_port() {
    constexpr unsigned first = 10'000;
    constexpr unsigned count = 20'000;
    // Of tests that run at the same time each begins elsewhere.
    static unsigned next = static_cast<unsigned>(::getpid()) * 31;
    for (;;) {
        const auto port = static_cast<std::uint16_t>(first + next++ % count);
        if (is_free(cohort::Endpoint::tcp("0.0.0.0", port)) && is_free(cohort::Endpoint::tcp("::", port).only_v6()))
            return port;
    }
}

} // namespace test
