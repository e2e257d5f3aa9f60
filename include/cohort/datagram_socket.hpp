// SPDX-License-Identifier: MIT
// DatagramSocket: what Worker::bind gives, the same in every mode (layer 3).
#pragma once

#include <cohort/endpoint.hpp>

#include <asio/ip/udp.hpp>
#include <asio/use_awaitable.hpp>

#include <functional>
#include <utility>

namespace cohort {

/// A UDP socket on a port that the workers share. It sends and receives as every asio::ip::udp::socket does.
///
/// The kernel chooses the worker by a hash of the addresses (socket(7), SO_REUSEPORT): one sender's datagrams go to one
/// worker as long as no worker comes or goes. The socket belongs to the slot: what it has queued when its worker dies,
/// the successor receives. Once closed or destroyed it gets no more datagrams, and those queued are lost. Asking the
/// worker to leave does not end it: add `|| self.until_stopping()` to what waits for datagrams.
///
///     auto socket = co_await self.bind("0.0.0.0:5353");
///     asio::ip::udp::endpoint sender;
///     const auto size = co_await socket.async_receive_from(asio::buffer(data), sender, asio::use_awaitable);
class DatagramSocket : public asio::ip::udp::socket {
public:
    DatagramSocket(asio::ip::udp::socket socket, Endpoint endpoint, std::function<void()> on_close);
    DatagramSocket(DatagramSocket&& other) noexcept
        : asio::ip::udp::socket(std::move(other)),
          endpoint_(other.endpoint_),
          on_close_(std::exchange(other.on_close_, nullptr)) {}
    DatagramSocket& operator=(DatagramSocket&& other) noexcept;
    ~DatagramSocket() { close(); }

    /// Pending operations end with operation_aborted.
    void close() noexcept;
    void close(std::error_code& error) noexcept {
        error.clear();
        close();
    }

    /// With the real address and port.
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    std::uint16_t port() const noexcept { return endpoint_.port(); }

private:
    Endpoint endpoint_;
    std::function<void()> on_close_;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/datagram_socket.ipp>
#endif
