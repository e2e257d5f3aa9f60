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
    using Subscribers = std::map<std::uint64_t, ClientPtr>; // by Client::number

    OwnerPtr owner_of(unsigned slot, const asio::any_io_executor& executor) const;
    std::size_t count(const OwnerPtr& owner) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(clients, [&owner](const ClientPtr& client) { return client->owner == owner; }));
    }
    void remove(const ClientPtr& client);
    void subscribe(const ClientPtr& client, Published& wish);
    /// The one that comes after this number.
    ClientPtr next_subscriber(const std::string& topic, std::uint64_t number) const;

    /// Gives the value to all who have subscribed. Both outlive the task.
    Task<> deliver(Published& published, MessageStream& publisher);
    static void give(const ClientPtr& client, Published& published, bool too_much);
    static void keep(const ClientPtr& client, const Published& published);
    /// Whether a value of this size is more than may wait for the subscriptions of one worker.
    bool is_too_much(Owner& owner, std::size_t size);
    /// Also gives back the memory of what was queued once.
    std::size_t count_queued(const Owner& owner) const;

    std::map<std::string, Subscribers, std::less<>> topics;
    std::list<ClientPtr> clients;
    std::uint64_t subscriptions = 0; // that there ever were
    std::uint64_t turn = 0;          // of all deliveries
};

/// Bytes of the values that are kept for a subscriber who wants the newest.
inline constexpr std::size_t most_kept = std::size_t{1} << 20;
/// Bytes of the large values that all connections of one worker may bring at a time; a connection with more is not read
/// until there is room. One value may always come, however large, so that they do not wait for each other.
inline constexpr std::size_t most_arriving = std::size_t{64} << 20;
/// Bytes that wait for all subscriptions of one worker, beyond which it gets no more large values; and beyond twice as
/// many no more values.
inline constexpr std::size_t most_queued = std::size_t{64} << 20;
/// Longest value that is not a large one.
inline constexpr std::size_t small_value = std::size_t{64} << 10;
/// Longest value that is given so fast that the clock is not read for each.
inline constexpr std::size_t quick_value = std::size_t{16} << 10;

inline MessageStream& stream_of(Bus::Client& client) { return Access::stream(client.channel); }

/// Whether it can be sent a value. `too_much`: for its owner.
inline bool has_room(Bus::Client& client, bool too_much = false) {
    return !too_much && client.kept.empty() && stream_of(client).has_room();
}

/// What a value takes that is kept.
inline std::size_t memory_of(const Published& published) {
    return sizeof published + published.topic.size() + published.payload.size();
}

/// Sends a value for which there is room.
inline void send_now(Bus::Client& client, Published& published) {
    published.missed = std::exchange(client.missed, 0);
    client.channel.try_send(published);
}

/// The oldest value that is kept for a subscriber.
inline Published take_kept(Bus::Client& client) {
    Published published = std::move(client.kept.front());
    client.kept.pop_front();
    client.kept_bytes -= memory_of(published);
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

/// The value that came over this connection was delivered, or will not be.
inline void forget_arrived(Bus::Client& client) {
    client.owner->arriving -= std::exchange(client.arriving, 0);
    client.owner->delivered.notify_all();
}

/// Until the large value that begins to come is one of few. A connection that waits has little memory.
inline Task<> room_to_arrive(std::shared_ptr<Bus::Client> client) {
    MessageStream& stream = stream_of(*client);
    Bus::Owner& owner = *client->owner;
    const std::size_t size = stream.arriving();
    while (!stream.is_over() && owner.arriving != 0 && owner.arriving + size > most_arriving) {
        stream.shrink();
        co_await owner.delivered.wait();
    }
    client->arriving = size;
    owner.arriving += size;
}

/// Waits until a message is here as a whole, or none will come.
inline Task<> arrival(std::shared_ptr<Bus::Client> client) {
    MessageStream& stream = stream_of(*client);
    for (bool more = true; more && !stream.has_front() && !stream.is_over();) {
        if (client->arriving != 0 && stream.arriving() != client->arriving)
            forget_arrived(*client); // that was an answer, or the like
        if (client->arriving == 0 && stream.arriving() > small_value) co_await room_to_arrive(client);
        if (client->arriving == 0) stream.shrink();
        more = co_await stream.fill();
    }
}

/// Waits until what is kept now is sent, and there is room; until nothing is queued, if its owner has too much.
inline Task<> room_for_value(std::shared_ptr<Bus::Client> client, bool too_much) {
    const std::uint64_t before = client->unkept + client->kept.size();
    while (client->unkept < before) co_await client->kept_sent.wait();
    if (too_much)
        co_await stream_of(*client).until_empty();
    else
        co_await stream_of(*client).room();
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
    for (const auto& client : state_->clients) {
        client->channel.close();
        client->owner->delivered.notify_all();
    }
}

COHORT_DECL UniqueFd Bus::connect(WorkerId worker, unsigned slot, bool finished) {
    const OwnerPtr owner = state_->owner_of(slot, executor_);
    if (worker != this_process)
        if (const auto error = may_cause_more(state_->count(owner))) throw std::system_error(error, "subscribe");
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    auto client = share<Client>(worker, owner, BusChannel::accepted(executor_, std::move(mine), limits_), executor_);
    state_->clients.push_back(client);
    if (finished) client->channel.finish(); // it may still publish
    spawn(executor_, serve(std::move(client), state_));
    return std::move(others);
}

COHORT_DECL void Bus::finish(WorkerId worker) {
    for (const auto& client : state_->clients)
        if (client->worker == worker) finish_client(*client);
}

COHORT_DECL Task<> Bus::serve(ClientPtr client, std::shared_ptr<State> state) {
    try {
        for (;;) {
            forget_arrived(*client);
            if (stream_of(*client).has_front())
                stream_of(*client).shrink();
            else
                co_await arrival(client);
            auto mail = co_await client->channel.receive_mail();
            if (!mail) break;
            Published& published = mail->message;
            if (published.subscribes) {
                state->subscribe(client, published);
                const Published done;
                co_await mail->reply(done);
            } else {
                co_await state->deliver(published, stream_of(*client));
            }
        }
    } catch (const std::system_error&) {
        // The client is gone, or sent an invalid message; either way its connection is closed.
    }
    state->remove(client);
    stream_of(*client).abort();
    forget_arrived(*client);
}

COHORT_DECL Bus::OwnerPtr Bus::State::owner_of(unsigned slot, const asio::any_io_executor& executor) const {
    for (const ClientPtr& client : clients)
        if (client->owner->slot == slot) return client->owner;
    return share<Owner>(slot, executor);
}

COHORT_DECL void Bus::State::remove(const ClientPtr& client) {
    clients.remove(client);
    const auto topic = topics.find(client->topic);
    if (topic == topics.end()) return;
    topic->second.erase(client->number);
    if (topic->second.empty()) topics.erase(topic);
}

COHORT_DECL void Bus::State::subscribe(const ClientPtr& client, Published& wish) {
    const bool is_known = wish.slow <= SlowSubscriber::disconnect;
    // One subscription per connection: a worker that subscribes without end would fill the master's memory.
    if (!is_known || wish.topic.size() > most_topic_bytes || client->number != 0)
        throw std::system_error(make_error_code(Errc::bad_message));
    client->slow = wish.slow;
    client->topic = wish.topic;
    client->number = ++subscriptions;
    topics[std::move(wish.topic)].emplace(client->number, client);
}

COHORT_DECL Bus::ClientPtr Bus::State::next_subscriber(const std::string& topic, std::uint64_t number) const {
    const auto found = topics.find(topic);
    if (found == topics.end()) return nullptr;
    const auto next = found->second.upper_bound(number);
    return next == found->second.end() ? nullptr : next->second;
}

COHORT_DECL std::size_t Bus::State::count_queued(const Owner& owner) const {
    std::size_t queued = 0;
    for (const ClientPtr& client : clients)
        if (client->owner.get() == &owner) {
            stream_of(*client).shrink();
            queued += stream_of(*client).queued() + client->kept_bytes;
        }
    return queued;
}

/// Counts again only when all that was published since would be too much: that takes long if there are many clients.
COHORT_DECL bool Bus::State::is_too_much(Owner& owner, std::size_t size) {
    const std::size_t most = size <= small_value ? 2 * most_queued : std::max(most_queued, size);
    if (owner.queued + size > most && std::exchange(owner.counted, turn) != turn) owner.queued = count_queued(owner);
    return owner.queued + size > most;
}

COHORT_DECL void Bus::State::keep(const ClientPtr& client, const Published& published) {
    const bool runs = !client->kept.empty();
    client->kept.push_back(published);
    client->kept_bytes += memory_of(published);
    while (client->kept.size() > 1 && client->kept_bytes > most_kept) {
        take_kept(*client);
        ++client->missed;
    }
    if (!runs) spawn(stream_of(*client).executor(), send_kept(client));
}

COHORT_DECL void Bus::State::give(const ClientPtr& client, Published& published, bool too_much) {
    if (has_room(*client, too_much)) return send_now(*client, published);
    if (client->slow == SlowSubscriber::disconnect) return stream_of(*client).abort();
    if (client->slow == SlowSubscriber::drop_oldest && !too_much) return keep(client, published);
    ++client->missed;
}

/// Who unsubscribes meanwhile is skipped. Who subscribes meanwhile gets what comes after.
COHORT_DECL Task<> Bus::State::deliver(Published& published, MessageStream& publisher) {
    const std::uint64_t last = subscriptions;
    const std::size_t size = published.payload.size();
    ++turn;
    ClientPtr subscriber = next_subscriber(published.topic, 0);
    while (subscriber && subscriber->number <= last) {
        if (size <= quick_value ? publisher.turn_is_over() : publisher.turn_is_over_before_long_event()) {
            co_await publisher.let_others_go_on();
            ++turn;
        }
        try {
            const bool too_much = is_too_much(*subscriber->owner, size);
            if (!published.waits) {
                give(subscriber, published, too_much);
            } else {
                // Until there is room behind it, too: so there are no more values in the queue than arrive.
                if (!has_room(*subscriber, too_much)) co_await room_for_value(subscriber, too_much);
                send_now(*subscriber, published);
                if (!has_room(*subscriber)) co_await stream_of(*subscriber).room();
            }
        } catch (const std::system_error&) {
            // That one has just gone, or is leaving.
        }
        subscriber->owner->queued += memory_of(published);
        subscriber = next_subscriber(published.topic, subscriber->number);
    }
}

} // namespace cohort::detail
