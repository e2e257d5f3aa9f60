// SPDX-License-Identifier: MIT
// The bodies of bus.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/bus.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/system.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <system_error>
#include <utility>

namespace cohort::detail {

/// Who is connected, and to what they have subscribed.
struct Bus::State {
    using Subscribers = std::map<std::uint64_t, ConnectionPtr>; // by BusConnection::number()

    /// Bytes that wait for all subscriptions of a share, beyond which it gets no more large values; and beyond twice as
    /// many no more values.
    static constexpr std::size_t most_queued = std::size_t{64} << 20;
    /// Longest value that is given so fast that the clock is not read for each, bytes.
    static constexpr std::size_t quick_value = std::size_t{16} << 10;

    SharePtr share_of(unsigned slot, const asio::any_io_executor& executor) const;
    std::size_t count(const SharePtr& share) const {
        const auto is_of_it = [&share](const ConnectionPtr& one) { return one->share() == share; };
        return static_cast<std::size_t>(std::ranges::count_if(connections, is_of_it));
    }
    void remove(const ConnectionPtr& connection);
    void subscribe(const ConnectionPtr& connection, const Published& wish);
    /// The one that comes after this number.
    ConnectionPtr next_subscriber(const std::string& topic, std::uint64_t number) const;

    /// Gives the value to all who have subscribed. Both outlive the task.
    Task<> deliver(Published& published, MessageStream& publisher);
    /// Whether a value of this size is more than may wait for the subscriptions of a share.
    bool is_too_much(BusShare& share, std::size_t size);
    std::size_t count_queued(const BusShare& share) const;

    std::map<std::string, Subscribers, std::less<>> topics;
    std::list<ConnectionPtr> connections;
    std::uint64_t subscriptions = 0; // that there ever were
    std::uint64_t turn = 0;          // of all deliveries
};

COHORT_DECL Bus::Bus(const asio::any_io_executor& executor, ChannelLimits limits)
    : executor_(executor), limits_(limits), state_(share<State>()) {}

COHORT_DECL Bus::~Bus() {
    for (const auto& connection : state_->connections) {
        connection->channel().close();
        connection->share()->delivered.notify_all();
    }
}

COHORT_DECL UniqueFd Bus::connect(WorkerId worker, unsigned slot, bool finished) {
    const SharePtr common = state_->share_of(slot, executor_);
    if (worker != this_process)
        if (const auto error = may_cause_more(state_->count(common))) throw std::system_error(error, "subscribe");
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    auto connection =
        share<BusConnection>(worker, common, BusChannel::accepted(executor_, std::move(mine), limits_), executor_);
    state_->connections.push_back(connection);
    if (finished) connection->channel().finish(); // it may still publish
    spawn(executor_, serve(std::move(connection), state_));
    return std::move(others);
}

COHORT_DECL void Bus::finish(WorkerId worker) {
    for (const auto& connection : state_->connections)
        if (connection->worker() == worker) connection->finish();
}

COHORT_DECL Task<> Bus::serve(ConnectionPtr connection, std::shared_ptr<State> state) {
    MessageStream& stream = connection->stream();
    try {
        for (;;) {
            connection->forget_arrived();
            if (stream.has_front())
                stream.shrink();
            else
                co_await BusConnection::arrival(connection);
            auto mail = co_await connection->channel().receive_mail();
            if (!mail) break;
            Published& published = mail->message;
            if (published.subscribes) {
                state->subscribe(connection, published);
                const Published done;
                co_await mail->reply(done);
            } else {
                co_await state->deliver(published, stream);
            }
        }
    } catch (const std::system_error&) {
        // It is gone, or sent an invalid message; either way its connection is closed.
    }
    state->remove(connection);
    stream.abort();
    connection->forget_arrived();
}

COHORT_DECL Bus::SharePtr Bus::State::share_of(unsigned slot, const asio::any_io_executor& executor) const {
    for (const ConnectionPtr& connection : connections)
        if (connection->share()->slot == slot) return connection->share();
    return share<BusShare>(slot, executor);
}

COHORT_DECL void Bus::State::remove(const ConnectionPtr& connection) {
    connections.remove(connection);
    const auto topic = topics.find(connection->topic());
    if (topic == topics.end()) return;
    topic->second.erase(connection->number());
    if (topic->second.empty()) topics.erase(topic);
}

COHORT_DECL void Bus::State::subscribe(const ConnectionPtr& connection, const Published& wish) {
    const bool is_known = wish.slow <= SlowSubscriber::disconnect;
    if (!is_known || wish.topic.size() > most_topic_bytes) throw std::system_error(make_error_code(Errc::bad_message));
    connection->subscribe(wish.topic, wish.slow, subscriptions + 1);
    topics[wish.topic].emplace(++subscriptions, connection);
}

COHORT_DECL Bus::ConnectionPtr Bus::State::next_subscriber(const std::string& topic, std::uint64_t number) const {
    const auto found = topics.find(topic);
    if (found == topics.end()) return nullptr;
    const auto next = found->second.upper_bound(number);
    return next == found->second.end() ? nullptr : next->second;
}

COHORT_DECL std::size_t Bus::State::count_queued(const BusShare& share) const {
    std::size_t queued = 0;
    for (const ConnectionPtr& connection : connections)
        if (connection->share().get() == &share) queued += connection->count_queued();
    return queued;
}

/// Counts again only when all that was published since would be too much: that takes long if there are many.
COHORT_DECL bool Bus::State::is_too_much(BusShare& share, std::size_t size) {
    const std::size_t most = size <= BusConnection::small_value ? 2 * most_queued : std::max(most_queued, size);
    if (share.queued + size > most && std::exchange(share.counted, turn) != turn) share.queued = count_queued(share);
    return share.queued + size > most;
}

/// Who unsubscribes meanwhile is skipped. Who subscribes meanwhile gets what comes after.
COHORT_DECL Task<> Bus::State::deliver(Published& published, MessageStream& publisher) {
    const std::uint64_t last = subscriptions;
    const std::size_t size = published.payload.size();
    ++turn;
    ConnectionPtr subscriber = next_subscriber(published.topic, 0);
    while (subscriber && subscriber->number() <= last) {
        if (size <= quick_value ? publisher.turn_is_over() : publisher.turn_is_over_before_long_event()) {
            co_await publisher.let_others_go_on();
            ++turn;
        }
        try {
            const bool too_much = is_too_much(*subscriber->share(), size);
            if (!published.waits) {
                subscriber->give(published, too_much);
            } else {
                // Until there is room behind it, too: so there are no more values in the queue than arrive.
                if (!subscriber->has_room(too_much)) co_await BusConnection::room(subscriber, too_much);
                subscriber->send(published);
                if (!subscriber->has_room()) co_await subscriber->stream().room();
            }
        } catch (const std::system_error&) {
            // That one has just gone, or is leaving.
        }
        subscriber->share()->queued += memory_of(published);
        subscriber = next_subscriber(published.topic, subscriber->number());
    }
}

} // namespace cohort::detail
