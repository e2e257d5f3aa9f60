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

/// What becomes of the values of a topic that a subscriber does not receive as fast as they are published, once about a
/// megabyte waits for it, or 64 for all subscriptions of its worker. Publishers do not wait for it (but see
/// Worker::publish_lossless).
enum class SlowSubscriber : std::uint8_t {
    drop_newest, ///< values are dropped until there is room again
    drop_oldest, ///< the oldest of those that wait are dropped: it always gets the newest value
    disconnect,  ///< the subscription ends
};

/// Longest name of a topic.
inline constexpr std::size_t most_topic_bytes = 1024;

/// A value whose type only its ends know. One struct for all that goes to the bus and comes from it: a variant would be
/// compiled for every pair of its alternatives.
struct Published {
    std::string topic;
    std::uint64_t type = 0;   ///< schema_hash
    std::string payload{};    ///< encode()
    bool subscribes = false;  ///< carries no value: a call that subscribes to the topic; the reply is empty
    SlowSubscriber slow{};    ///< what to do if the one that subscribes is slow
    bool waits = false;       ///< the publisher waits for slow subscribers
    std::uint64_t missed = 0; ///< to a subscriber: how many values before this one were dropped
};

template <class T>
Published to_published(std::string topic, const T& value, const SerializeLimits& limits, bool waits = false) {
    Buffer bytes;
    encode(value, bytes, limits);
    return {.topic = std::move(topic),
            .type = schema_hash<T>(),
            .payload = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
            .waits = waits};
}

/// Ends when it is destroyed, and when the bus does.
class BusClient {
public:
    BusClient(const asio::any_io_executor& executor, UniqueFd socket, std::size_t max_message);

    /// Queues the value when called, and waits while the bus does not keep up; with Published::waits, while those who
    /// have subscribed do not.
    Task<> publish(Published published);
    /// Once this returns, everything published on the topic is received. Throws Errc::message_too_large for a name that
    /// is too long.
    COHORT_LAZY Task<> subscribe(std::string topic, SlowSubscriber slow);
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
