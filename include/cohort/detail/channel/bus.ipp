// SPDX-License-Identifier: MIT
// The bodies of bus.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/bus.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/system.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace cohort::detail {

/// Who is connected, and to what they have subscribed.
struct Bus::State {
    using Subscribers = std::list<ClientPtr>;

    void subscribe(const ClientPtr& client, Published& wish);
    void remove(const ClientPtr& client);
    /// Gives the value to all who have subscribed, without waiting for any.
    void deliver(Published& published);
    /// Waits for those that have no room.
    Task<> deliver_waiting(Published published);
    void give(const ClientPtr& client, Published& published);
    void keep(const ClientPtr& client, const Published& published);
    /// Whether a value of this size is more than may wait for the subscriptions of one worker.
    bool is_too_much(const Client& client, std::size_t size) const;
    std::size_t count(WorkerId owner) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(clients, [owner](const ClientPtr& client) { return client->owner == owner; }));
    }

    std::map<std::string, Subscribers, std::less<>> topics;
    std::list<ClientPtr> clients;
};

/// Bytes of the values that are kept for a subscriber who wants the newest.
inline constexpr std::size_t most_kept = std::size_t{1} << 20;
/// Bytes that wait for all subscriptions of one worker, beyond which it gets no more large values.
inline constexpr std::size_t most_queued = std::size_t{64} << 20;
/// Bytes that do not count as a large value.
inline constexpr std::size_t small_value = std::size_t{64} << 10;

inline MessageStream& stream_of(Bus::Client& client) { return Access::stream(client.channel); }

/// Sends a value for which there is room.
inline void send_now(Bus::Client& client, Published& published) {
    published.missed = std::exchange(client.missed, 0);
    client.channel.try_send(published);
}

/// The oldest value that is kept for a subscriber.
inline Published take_kept(Bus::Client& client) {
    Published published = std::move(client.kept.front());
    client.kept.pop_front();
    client.kept_bytes -= published.payload.size();
    ++client.unkept;
    client.kept_sent.notify_all();
    return published;
}

/// It is gone, or there is no memory for more: then it learns by the end that it has not got all.
inline void give_up(Bus::Client& client) {
    while (!client.kept.empty()) take_kept(client);
    stream_of(client).abort();
}

/// Sends what is kept for a subscriber, as fast as it receives.
inline Task<> send_kept(std::shared_ptr<Bus::Client> client) {
    try {
        while (!client->kept.empty()) {
            co_await stream_of(*client).room();
            if (client->kept.empty()) break;
            Published published = take_kept(*client);
            send_now(*client, published);
        }
    } catch (...) {
        give_up(*client);
    }
}

/// Behind what is kept now. `published` outlives the task.
inline Task<> send_waiting(std::shared_ptr<Bus::Client> client, Published& published) {
    const std::uint64_t before = client->unkept + client->kept.size();
    while (client->unkept < before) co_await client->kept_sent.wait();
    published.missed = std::exchange(client->missed, 0);
    co_await client->channel.send(published);
}

/// It gets what is kept for it, and then the end.
inline void finish_client(Bus::Client& client) {
    try {
        while (!client.kept.empty()) {
            Published published = take_kept(client);
            published.missed = std::exchange(client.missed, 0);
            [[maybe_unused]] const auto queued = client.channel.send(published); // when called
        }
        client.channel.finish();
    } catch (...) {
        give_up(client);
    }
}

COHORT_DECL Bus::Bus(const asio::any_io_executor& executor, ChannelLimits limits)
    : executor_(executor), limits_(limits), state_(share<State>()) {}

COHORT_DECL Bus::~Bus() {
    for (const auto& client : state_->clients) client->channel.close();
}

COHORT_DECL UniqueFd Bus::connect(WorkerId owner, bool finished) {
    if (owner != 0)
        if (const auto error = may_cause_more(state_->count(owner))) throw std::system_error(error, "subscribe");
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    auto client = share<Client>(owner, BusChannel::accepted(executor_, std::move(mine), limits_), executor_);
    state_->clients.push_back(client);
    if (finished) client->channel.finish(); // it may still publish
    spawn(executor_, serve(std::move(client), state_));
    return std::move(others);
}

COHORT_DECL void Bus::finish(WorkerId owner) {
    for (const auto& client : state_->clients)
        if (client->owner == owner) finish_client(*client);
}

COHORT_DECL Task<> Bus::serve(ClientPtr client, std::shared_ptr<State> state) {
    bool subscribed = false;
    try {
        while (auto mail = co_await client->channel.receive_mail()) {
            Published& published = mail->message;
            if (published.subscribes) {
                // One subscription per connection: a worker that subscribes without end would fill the master's memory.
                if (std::exchange(subscribed, true)) throw std::system_error(make_error_code(Errc::bad_message));
                state->subscribe(client, published);
                const Published done;
                co_await mail->reply(done);
            } else if (published.waits) {
                co_await state->deliver_waiting(std::move(published));
            } else {
                state->deliver(published);
            }
        }
    } catch (const std::system_error&) {
        // The client is gone, or sent an invalid message; either way its connection is closed.
    }
    state->remove(client);
    stream_of(*client).abort();
}

COHORT_DECL void Bus::State::subscribe(const ClientPtr& client, Published& wish) {
    const bool is_known = wish.slow <= SlowSubscriber::disconnect;
    if (!is_known || wish.topic.size() > most_topic_bytes) throw std::system_error(make_error_code(Errc::bad_message));
    client->slow = wish.slow;
    topics[std::move(wish.topic)].push_back(client);
}

COHORT_DECL void Bus::State::remove(const ClientPtr& client) {
    clients.remove(client);
    for (auto topic = topics.begin(); topic != topics.end();) {
        topic->second.remove(client);
        topic = topic->second.empty() ? topics.erase(topic) : std::next(topic);
    }
}

COHORT_DECL bool Bus::State::is_too_much(const Client& client, std::size_t size) const {
    if (size <= small_value) return false;
    std::size_t queued = size;
    for (const ClientPtr& other : clients)
        if (other->owner == client.owner) queued += stream_of(*other).queued() + other->kept_bytes;
    return queued > std::max(most_queued, size);
}

COHORT_DECL void Bus::State::keep(const ClientPtr& client, const Published& published) {
    const bool runs = !client->kept.empty();
    client->kept.push_back(published);
    client->kept_bytes += published.payload.size();
    while (client->kept.size() > 1 && client->kept_bytes + client->kept.size() * sizeof(Published) > most_kept) {
        take_kept(*client);
        ++client->missed;
    }
    if (!runs) spawn(stream_of(*client).executor(), send_kept(client));
}

COHORT_DECL void Bus::State::give(const ClientPtr& client, Published& published) {
    const bool too_much = is_too_much(*client, published.payload.size());
    if (!too_much && client->kept.empty() && stream_of(*client).has_room()) return send_now(*client, published);
    if (client->slow == SlowSubscriber::disconnect) return stream_of(*client).abort();
    if (client->slow == SlowSubscriber::drop_oldest && !too_much) return keep(client, published);
    ++client->missed;
}

COHORT_DECL void Bus::State::deliver(Published& published) {
    const auto topic = topics.find(published.topic);
    if (topic == topics.end()) return;
    for (const ClientPtr& subscriber : topic->second) {
        try {
            give(subscriber, published);
        } catch (const std::system_error&) {
            // That one has just gone, or is leaving.
        }
    }
}

COHORT_DECL Task<> Bus::State::deliver_waiting(Published published) {
    const auto topic = topics.find(published.topic);
    if (topic == topics.end()) co_return;
    const Subscribers subscribers = topic->second;
    for (const auto& subscriber : subscribers) {
        try {
            co_await send_waiting(subscriber, published);
        } catch (const std::system_error&) {
            // That one has just gone, or is leaving.
        }
    }
}

} // namespace cohort::detail
