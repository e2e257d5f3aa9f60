// SPDX-License-Identifier: MIT
// The bodies of bus_client.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/bus_client.hpp>

#include <cohort/detail/channel/bus_message.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

#include <utility>

namespace cohort::detail {

struct BusClient::Connection {
    BusChannel channel;
};

COHORT_DECL BusClient::BusClient(const asio::any_io_executor& executor, UniqueFd socket, std::size_t max_message)
    : connection_(share<Connection>(Connection{BusChannel(executor, std::move(socket), {.max_length = max_message})})) {
}

COHORT_DECL Task<> BusClient::publish(Published published) { return connection_->channel.send(published); }

COHORT_LAZY COHORT_DECL Task<> BusClient::subscribe(std::string topic, SlowSubscriber slow) {
    if (topic.size() > most_topic_bytes) throw std::system_error(make_error_code(Errc::message_too_large), "topic");
    const auto connection = connection_;
    const Published wish{.topic = std::move(topic), .subscribes = true, .slow = slow};
    co_await connection->channel.call(wish);
}

COHORT_DECL Task<std::optional<Published>> BusClient::receive() { return connection_->channel.receive(); }

} // namespace cohort::detail
