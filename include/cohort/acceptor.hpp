// SPDX-License-Identifier: MIT
// What a server needs of a listener: a place where connections come from (layer 3).
#pragma once

#include <cohort/task.hpp>

#include <asio/generic/stream_protocol.hpp>

#include <concepts>
#include <optional>

namespace cohort {

/// A connected stream socket, TCP or Unix. It belongs to whoever holds it.
using Socket = asio::generic::stream_protocol::socket;

/// Anything that yields connections: `co_await accept()` gives the next one, or nothing when no more will come
/// (closed, or draining because the process is to stop).
template <class A>
concept Acceptor = requires(A& acceptor) {
    { acceptor.accept() } -> std::same_as<Task<std::optional<Socket>>>;
};

} // namespace cohort
