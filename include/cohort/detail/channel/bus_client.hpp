// SPDX-License-Identifier: MIT
// BusClient: a connection to the bus, for publishing or for one subscription (layer 3).
#pragma once

#include <cohort/detail/config.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/serialize.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cohort::detail {

/// A value whose type only its ends know. One struct for all that goes to the bus and comes from it: a variant would be
/// compiled for every pair of its alternatives.
struct Published {
    std::string topic;
    std::uint64_t type = 0;  ///< schema_hash
    std::string payload{};   ///< encode()
    bool subscribes = false; ///< carries no value: a call that subscribes to the topic; the reply is empty
};

template <class T>
Published to_published(std::string topic, const T& value, const SerializeLimits& limits) {
    Buffer bytes;
    encode(value, bytes, limits);
    return {std::move(topic), schema_hash<T>(), std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
}

/// Ends when it is destroyed, and when the bus does.
class BusClient {
public:
    BusClient(const asio::any_io_executor& executor, UniqueFd socket, std::size_t max_message);

    /// Queues the value when called, and waits while those who have subscribed do not keep up.
    Task<> publish(Published published);
    /// Once this returns, everything published on the topic is received.
    COHORT_LAZY Task<> subscribe(std::string topic);
    /// The next value of the topic; nothing at the end.
    Task<std::optional<Published>> receive();

private:
    struct Connection;

    std::shared_ptr<Connection> connection_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/bus_client.ipp>
#endif
