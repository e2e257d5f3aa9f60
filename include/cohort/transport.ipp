// SPDX-License-Identifier: MIT
// The bodies of transport.hpp (layer 3).
#pragma once

#include <cohort/transport.hpp>

#include <cohort/detail/channel/shared_memory_transport.hpp>
#include <cohort/detail/channel/transport.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/fd_passing.hpp>

namespace cohort {

COHORT_DECL std::shared_ptr<detail::Transport>
UnixStream::connected(const asio::any_io_executor& executor, detail::UniqueFd socket, const detail::StreamLimits&) {
    return detail::share<detail::Transport>(executor, std::move(socket));
}

COHORT_DECL std::shared_ptr<detail::Transport> UnixStream::accepted(const asio::any_io_executor& executor,
                                                                    detail::UniqueFd socket,
                                                                    const detail::StreamLimits& limits) {
    return connected(executor, std::move(socket), limits);
}

COHORT_DECL UnixStream::Ends UnixStream::pair(const asio::any_io_executor& executor,
                                              const detail::StreamLimits& limits) {
    auto [one, other] = detail::make_socketpair(SOCK_STREAM);
    return {connected(executor, std::move(one), limits), accepted(executor, std::move(other), limits)};
}

COHORT_DECL std::shared_ptr<detail::Transport> SharedMemory::accepted(const asio::any_io_executor& executor,
                                                                      detail::UniqueFd socket,
                                                                      const detail::StreamLimits& limits) {
    return make(executor, std::move(socket), limits);
}

COHORT_DECL SharedMemory::Ends SharedMemory::pair(const asio::any_io_executor& executor,
                                                  const detail::StreamLimits& limits) {
    auto [one, other] = detail::make_socketpair(SOCK_STREAM);
    const detail::UniqueFd memory = detail::make_ring_memory(limits.ring_size);
    auto maker = make(executor, std::move(one), limits);
    auto joiner = make(executor, std::move(other), limits);
    maker->adopt(memory.get(), true);
    joiner->adopt(memory.get(), false);
    return {std::move(maker), std::move(joiner)};
}

COHORT_DECL std::shared_ptr<detail::Transport> SharedMemory::connected(const asio::any_io_executor& executor,
                                                                       detail::UniqueFd socket,
                                                                       const detail::StreamLimits& limits) {
    auto transport = make(executor, std::move(socket), limits);
    transport->make(limits.ring_size);
    return transport;
}

COHORT_DECL std::shared_ptr<detail::SharedMemoryTransport>
SharedMemory::make(const asio::any_io_executor& executor, detail::UniqueFd socket, const detail::StreamLimits& limits) {
    return detail::share<detail::SharedMemoryTransport>(executor, std::move(socket), limits);
}

} // namespace cohort
