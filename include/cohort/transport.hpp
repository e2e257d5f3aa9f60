// SPDX-License-Identifier: MIT
// What carries a channel, chosen at compile time: a Unix stream socket or shared memory (layer 3).
#pragma once

#include <cohort/detail/channel/frame_stream.hpp>
#include <cohort/detail/channel/shared_memory_transport.hpp>

#include <memory>
#include <utility>

namespace cohort {

/// A socket: everything passes through the kernel, which keeps what was sent when its sender dies.
struct UnixStream {
    using Ends = std::pair<std::unique_ptr<detail::Transport>, std::unique_ptr<detail::Transport>>;

    static Ends pair(const asio::any_io_executor& executor, const detail::StreamLimits& limits) {
        auto [one, other] = detail::make_socketpair(SOCK_STREAM);
        return {connected(executor, std::move(one), limits), accepted(executor, std::move(other), limits)};
    }
    static std::unique_ptr<detail::Transport> connected(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                        const detail::StreamLimits&) {
        return std::make_unique<detail::Transport>(executor, std::move(socket));
    }
    static std::unique_ptr<detail::Transport> accepted(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                       const detail::StreamLimits& limits) {
        return connected(executor, std::move(socket), limits);
    }
};

/// A ring of ChannelLimits::ring_size bytes for each direction in sealed memory (memfd_create(2)) that both sides map,
/// and a socket to wake whoever sleeps: a message costs no system call while both are busy. With ChannelLimits::spin a
/// receiver does not even sleep. What was sent is in the ring, so it survives its sender. Several times the rate of a
/// socket, for twice the ring's size in memory.
struct SharedMemory {
    using Ends = UnixStream::Ends;

    static Ends pair(const asio::any_io_executor& executor, const detail::StreamLimits& limits) {
        auto [one, other] = detail::make_socketpair(SOCK_STREAM);
        const detail::UniqueFd memory = detail::make_ring_memory(limits.ring_size);
        auto maker = make(executor, std::move(one), limits);
        auto delivery = make(executor, std::move(other), limits);
        maker->adopt(memory.get(), true);
        delivery->adopt(memory.get(), false);
        return {std::move(maker), std::move(delivery)};
    }
    /// Makes the memory.
    static std::unique_ptr<detail::Transport> connected(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                        const detail::StreamLimits& limits) {
        auto transport = make(executor, std::move(socket), limits);
        transport->make(limits.ring_size);
        return transport;
    }
    /// Gets the memory from the side that connected.
    static std::unique_ptr<detail::Transport> accepted(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                       const detail::StreamLimits& limits) {
        return make(executor, std::move(socket), limits);
    }

private:
    static std::unique_ptr<detail::SharedMemoryTransport>
    make(const asio::any_io_executor& executor, detail::UniqueFd socket, const detail::StreamLimits& limits) {
        return std::make_unique<detail::SharedMemoryTransport>(executor, std::move(socket), limits.spin);
    }
};

} // namespace cohort
