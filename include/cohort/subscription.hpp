// SPDX-License-Identifier: MIT
// Subscription: everything that is published on a topic (layer 3).
#pragma once

#include <cohort/detail/channel/bus_client.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cohort {

using SlowSubscriber = detail::SlowSubscriber;

/// What Worker::subscribe and Master::subscribe give. It ends when it is destroyed, and when its worker is to leave or
/// the master goes.
template <class T>
class Subscription {
public:
    Subscription(detail::BusClient client, std::string topic, const SerializeLimits& limits)
        : client_(std::move(client)), its_(std::make_shared<Its>(Its{std::move(topic), limits})) {}

    /// The next value published, in the order of each publisher; nothing at the end. Nobody waits for a subscriber that
    /// does not keep up: see SlowSubscriber, and missed(). Cancelling loses nothing. Errors: Errc::schema_mismatch:
    /// somebody publishes another type on this topic; the next receive() continues after it.
    [[nodiscard]] Task<std::optional<T>> receive();
    const std::string& topic() const noexcept { return its_->topic; }
    /// How many values were dropped so far, before the last one that was received: a number that grows is a gap.
    std::uint64_t missed() const noexcept { return its_->missed; }

private:
    /// What a receive() under way needs, wherever the subscription is moved meanwhile.
    struct Its {
        std::string topic;
        SerializeLimits limits;
        std::uint64_t missed = 0;
    };

    detail::BusClient client_;
    std::shared_ptr<Its> its_;
};

template <class T>
Task<std::optional<T>> Subscription<T>::receive() {
    const auto its = its_;
    const auto published = co_await client_.receive();
    if (!published) co_return std::nullopt;
    its->missed += published->missed;
    if (published->type != schema_hash<T>())
        throw std::system_error(make_error_code(Errc::schema_mismatch), "topic " + its->topic);
    std::optional<T> value(std::in_place);
    const auto bytes = std::as_bytes(std::span(published->payload));
    if (const auto error = decode(bytes, *value, its->limits)) throw std::system_error(error, "topic " + its->topic);
    co_return value;
}

namespace detail {

/// After this, what is published arrives.
template <class T>
Task<Subscription<T>> subscribe(BusClient client, std::string topic, SlowSubscriber slow, SerializeLimits limits) {
    co_await client.subscribe(topic, slow);
    co_return Subscription<T>(std::move(client), std::move(topic), limits);
}

} // namespace detail

} // namespace cohort
