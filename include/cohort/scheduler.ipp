// SPDX-License-Identifier: MIT
// The bodies of scheduler.hpp (layer 3).
#pragma once

#include <cohort/scheduler.hpp>

#include <cohort/detail/socket/socket_address.hpp>

#include <cohort/detail/config.hpp>

namespace cohort {

COHORT_DECL std::size_t InTurn::choose(const Arrival&, std::span<const Candidate> workers) noexcept {
    for (std::size_t i = 0; i < workers.size(); ++i) {
        const std::size_t index = (next_ + i) % workers.size();
        if (workers[index].room == 0) continue;
        next_ = index + 1;
        return index;
    }
    return workers.size();
}

COHORT_DECL std::size_t Fewest::choose(const Arrival&, std::span<const Candidate> workers) noexcept {
    std::size_t best = workers.size();
    for (std::size_t i = 0; i < workers.size(); ++i) {
        const std::size_t index = (next_ + i) % workers.size();
        if (workers[index].room == 0) continue;
        if (best == workers.size() || workers[index].load() < workers[best].load()) best = index;
    }
    if (best != workers.size()) next_ = best + 1;
    return best;
}

COHORT_DECL Endpoint Arrival::client() const {
    detail::SocketAddress address;
    if (::getpeername(descriptor_, address.get(), &address.size) != 0) return {};
    return detail::to_endpoint(address);
}

COHORT_DECL std::uint64_t ClientAddress::operator()(const Arrival& connection) const noexcept {
    detail::SocketAddress address;
    ::getpeername(connection.descriptor(), address.get(), &address.size);
    if (address.storage.ss_family == AF_INET)
        return reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr.s_addr;
    if (address.storage.ss_family == AF_INET6) {
        std::uint64_t halves[2];
        std::memcpy(halves, &reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr, sizeof halves);
        return detail::mix(halves[0]) ^ halves[1];
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    ::getsockopt(connection.descriptor(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return static_cast<std::uint64_t>(peer.pid);
}

} // namespace cohort
