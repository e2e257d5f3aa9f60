// SPDX-License-Identifier: MIT
// The bodies of transport.hpp (layer 3).
#pragma once

#include <cohort/transport.hpp>

#include <cohort/detail/config.hpp>

namespace cohort {

COHORT_DECL std::unique_ptr<detail::Transport>
UnixStream::connected(const asio::any_io_executor& executor, detail::UniqueFd socket, const detail::StreamLimits&) {
    return std::make_unique<detail::Transport>(executor, std::move(socket));
}

COHORT_DECL SharedMemory::Ends SharedMemory::pair(const asio::any_io_executor& executor,
                                                  const detail::StreamLimits& limits) {
    auto [one, other] = detail::make_socketpair(SOCK_STREAM);
    const detail::UniqueFd memory = detail::make_ring_memory(limits.ring_size);
    auto maker = make(executor, std::move(one), limits);
    auto delivery = make(executor, std::move(other), limits);
    maker->adopt(memory.get(), true);
    delivery->adopt(memory.get(), false);
    return {std::move(maker), std::move(delivery)};
}

COHORT_DECL std::unique_ptr<detail::Transport> SharedMemory::connected(const asio::any_io_executor& executor,
                                                                       detail::UniqueFd socket,
                                                                       const detail::StreamLimits& limits) {
    auto transport = make(executor, std::move(socket), limits);
    transport->make(limits.ring_size);
    return transport;
}

COHORT_DECL std::unique_ptr<detail::SharedMemoryTransport>
SharedMemory::make(const asio::any_io_executor& executor, detail::UniqueFd socket, const detail::StreamLimits& limits) {
    return std::make_unique<detail::SharedMemoryTransport>(executor, std::move(socket), limits.spin);
}

} // namespace cohort
