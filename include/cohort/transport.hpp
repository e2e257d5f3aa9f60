// SPDX-License-Identifier: MIT
// What carries a channel, chosen at compile time: a Unix stream socket or shared memory (layer 3).
#pragma once

#include <cohort/detail/channel/stream_limits.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <asio/any_io_executor.hpp>

#include <concepts>
#include <memory>
#include <utility>

namespace cohort {

namespace detail {

class SharedMemoryTransport;
class Transport;

} // namespace detail

/// A kind of transport: how to make a channel's two ends, or one end on a connected socket.
template <class V>
concept ChannelTransport =
    requires(const asio::any_io_executor& executor, detail::UniqueFd socket, const detail::StreamLimits& limits) {
        {
            V::pair(executor, limits)
        } -> std::same_as<std::pair<std::shared_ptr<detail::Transport>, std::shared_ptr<detail::Transport>>>;
        { V::connected(executor, std::move(socket), limits) } -> std::same_as<std::shared_ptr<detail::Transport>>;
        { V::accepted(executor, std::move(socket), limits) } -> std::same_as<std::shared_ptr<detail::Transport>>;
    };

/// A socket: everything passes through the kernel, which keeps what was sent when its sender dies.
struct UnixStream {
    using Ends = std::pair<std::shared_ptr<detail::Transport>, std::shared_ptr<detail::Transport>>;

    static Ends pair(const asio::any_io_executor& executor, const detail::StreamLimits& limits);
    static std::shared_ptr<detail::Transport> connected(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                        const detail::StreamLimits&);
    static std::shared_ptr<detail::Transport> accepted(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                       const detail::StreamLimits& limits);
};

/// A ring of ChannelLimits::ring_size bytes for each direction in sealed memory (memfd_create(2)) that both sides map,
/// and a socket to wake whoever sleeps: a message costs no system call while both are busy. With ChannelLimits::spin a
/// receiver does not even sleep. What was sent is in the ring, so it survives its sender. Several times the rate of a
/// socket, for twice the ring's size in memory.
struct SharedMemory {
    using Ends = UnixStream::Ends;

    static Ends pair(const asio::any_io_executor& executor, const detail::StreamLimits& limits);
    /// Makes the memory.
    static std::shared_ptr<detail::Transport> connected(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                        const detail::StreamLimits& limits);
    /// Gets the memory from the side that connected.
    static std::shared_ptr<detail::Transport> accepted(const asio::any_io_executor& executor, detail::UniqueFd socket,
                                                       const detail::StreamLimits& limits);

private:
    static std::shared_ptr<detail::SharedMemoryTransport>
    make(const asio::any_io_executor& executor, detail::UniqueFd socket, const detail::StreamLimits& limits);
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/transport.ipp>
#endif
