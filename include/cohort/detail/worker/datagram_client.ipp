// SPDX-License-Identifier: MIT
// The bodies of datagram_client.hpp (layer 3).
#pragma once

#include <cohort/detail/worker/datagram_client.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

namespace cohort::detail {

COHORT_LAZY COHORT_DECL Task<DatagramSocket> DatagramClient::bind(asio::any_io_executor executor, Endpoint endpoint) {
    co_await asio::post(executor, asio::use_awaitable); // after the Unbind of a socket closed before
    PendingRequests<Answer>::Request request(requests_);
    link_->send(Bind{request.number(), endpoint});
    co_await request.wait();
    Answer& answer = request.answer();
    if (const auto error = error_of(answer.bound)) throw std::system_error(error, "bind to " + endpoint.to_string());
    co_return std::move(*answer.socket);
}

COHORT_DECL DatagramSocket DatagramClient::make_socket(const asio::any_io_executor& executor, const Bound& bound,
                                                       UniqueFd descriptor) const {
    const bool is_v6 = bound.endpoint.host().find(':') != std::string::npos;
    asio::ip::udp::socket socket(executor);
    socket.assign(is_v6 ? asio::ip::udp::v6() : asio::ip::udp::v4(), descriptor.get());
    [[maybe_unused]] const int owned_by_socket = descriptor.release();
    // Sent at the next turn of the loop, so never when the body returns: the master keeps the socket for the successor.
    return {std::move(socket), bound.endpoint,
            [executor, link = link_, id = bound.binding] { spawn(executor, say_farewell(link, id)); }};
}

COHORT_DECL Task<> DatagramClient::say_farewell(std::shared_ptr<WorkerLink> link, std::uint32_t binding) {
    co_await asio::post(asio::use_awaitable);
    link->send(Unbind{binding});
}

COHORT_DECL void DatagramClient::answer(const asio::any_io_executor& executor, Bound message, Packet& packet) {
    std::optional<DatagramSocket> socket;
    if (message.error == 0 && packet.descriptors.empty()) { // at the descriptor limit of either process
        link_->send(Unbind{message.binding});
        message.error = EMFILE;
    }
    if (message.error == 0) socket.emplace(make_socket(executor, message, std::move(packet.descriptors.front())));
    const std::uint32_t request = message.request;
    requests_.answer(request, {std::move(message), std::move(socket)}); // the socket closes if nobody waits any more
}

} // namespace cohort::detail
