// SPDX-License-Identifier: MIT
// What may lie between HTTP and its socket: TLS (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/task.hpp>

#include <asio/buffer.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <string_view>
#include <system_error>

namespace cohort::http::detail {

/// Made for one socket, which outlives it. At most one read and one write at a time; cancelling the socket ends both.
class StreamLayer {
public:
    virtual ~StreamLayer() = default;

    /// Before anything else; `received` was read from the socket already.
    virtual Task<> open(std::string_view received, std::error_code& error) = 0;
    virtual Task<std::size_t> read_some(asio::mutable_buffer space, std::error_code& error) = 0;
    virtual Task<std::size_t> write_some(asio::const_buffer bytes, std::error_code& error) = 0;
    /// Tells the client that nothing more comes, and waits for its answer.
    virtual Task<> close(std::error_code& error) = 0;
};

/// An acceptor whose connections need a StreamLayer.
template <class A>
concept Layers = Acceptor<A> && requires(A& acceptor, Socket& socket) {
    { acceptor.make_layer(socket) } -> std::same_as<std::unique_ptr<StreamLayer>>;
};

} // namespace cohort::http::detail
