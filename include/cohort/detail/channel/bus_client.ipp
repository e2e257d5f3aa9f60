// SPDX-License-Identifier: MIT
// The bodies of bus_client.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/bus_client.hpp>

#include <cohort/detail/channel/bus_message.hpp>
#include <cohort/detail/config.hpp>

#include <utility>

namespace cohort::detail {

struct BusClient::Connection {
    BusChannel channel;
};

COHORT_DECL BusClient::BusClient(const asio::any_io_executor& executor, UniqueFd socket, std::size_t max_message)
    : connection_(std::make_shared<Connection>(
          Connection{BusChannel(executor, std::move(socket), {.max_length = max_message})})) {}

COHORT_DECL Task<> BusClient::publish(Published published) {
    const ToBus message = std::move(published);
    return connection_->channel.send(message);
}

COHORT_DECL Task<> BusClient::subscribe(std::string topic) {
    const auto connection = connection_;
    const ToBus wish = Subscribe{std::move(topic)};
    co_await connection->channel.call(wish);
}

COHORT_DECL Task<std::optional<Published>> BusClient::receive() { return connection_->channel.receive(); }

} // namespace cohort::detail
