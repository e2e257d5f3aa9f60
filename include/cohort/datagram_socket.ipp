// SPDX-License-Identifier: MIT
// The bodies of datagram_socket.hpp (layer 3).
#pragma once

#include <cohort/datagram_socket.hpp>

#include <cohort/detail/config.hpp>

namespace cohort {

COHORT_DECL DatagramSocket::DatagramSocket(asio::ip::udp::socket socket, Endpoint endpoint,
                                           std::function<void()> on_close)
    : asio::ip::udp::socket(std::move(socket)), endpoint_(std::move(endpoint)), on_close_(std::move(on_close)) {}

COHORT_DECL DatagramSocket& DatagramSocket::operator=(DatagramSocket&& other) noexcept {
    if (this == &other) return *this;
    close();
    asio::ip::udp::socket::operator=(std::move(other));
    endpoint_ = other.endpoint_;
    on_close_ = std::exchange(other.on_close_, nullptr);
    return *this;
}

COHORT_DECL void DatagramSocket::close() noexcept {
    std::error_code ignored;
    asio::ip::udp::socket::close(ignored);
    if (const auto tell = std::exchange(on_close_, nullptr)) tell();
}

} // namespace cohort
