// SPDX-License-Identifier: MIT
// Bus: brings what is published on a topic to those who have subscribed to it (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/event.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cohort::detail {

/// Asks for everything that is published on a topic from now on. A call; the reply is empty.
struct Subscribe {
    std::string topic;
};
/// A value whose type only its ends know.
struct Published {
    std::string topic;
    std::uint64_t type = 0; ///< schema_hash
    std::string payload;    ///< encode()
};

using ToBus = std::variant<Subscribe, Published>;
using BusChannel = Channel<Duplex<ToBus, Published>>;

template <class T>
ToBus to_bus(std::string topic, const T& value, const SerializeLimits& limits) {
    Buffer bytes;
    encode(value, bytes, limits);
    return Published{std::move(topic), schema_hash<T>(),
                     std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
}

/// Lives in the master. Each subscription has a connection of its own, so one that is not received fills its own queue
/// and then holds up those who publish on its topic; nothing is dropped.
class Bus {
public:
    Bus(const asio::any_io_executor& executor, ChannelLimits limits) : executor_(executor), limits_(limits) {}
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;
    ~Bus() {
        for (const auto& client : clients_) client->channel.close();
    }

    /// The other end of a new connection. `owner`: the worker it is for; 0: this process.
    UniqueFd connect(WorkerId owner);
    /// Nothing more goes to this worker; its subscriptions end behind what is on the way.
    void finish(WorkerId owner);

private:
    struct Client {
        WorkerId owner;
        BusChannel::Peer channel;
    };
    using ClientPtr = std::shared_ptr<Client>;
    using Topics = std::map<std::string, std::list<ClientPtr>, std::less<>>;

    /// Shared with the coroutines, which may outlive the bus by a moment.
    static Task<> serve(ClientPtr client, std::shared_ptr<Topics> topics);
    static Task<> publish(std::vector<ClientPtr> subscribers, Published published);

    asio::any_io_executor executor_;
    ChannelLimits limits_;
    std::shared_ptr<Topics> topics_ = std::make_shared<Topics>();
    std::list<ClientPtr> clients_;
};

inline UniqueFd Bus::connect(WorkerId owner) {
    std::erase_if(clients_, [](const ClientPtr& client) { return !client->channel.is_open(); });
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    auto client = std::make_shared<Client>(
        Client{owner, BusChannel::Peer::accepted(executor_, std::move(mine), limits_)});
    clients_.push_back(client);
    asio::co_spawn(executor_, serve(std::move(client), topics_), asio::detached);
    return std::move(others);
}

inline void Bus::finish(WorkerId owner) {
    for (const auto& client : clients_)
        if (client->owner == owner) client->channel.finish();
}

inline Task<> Bus::serve(ClientPtr client, std::shared_ptr<Topics> topics) {
    try {
        while (auto mail = co_await client->channel.receive_mail()) {
            if (auto* const wish = std::get_if<Subscribe>(&mail->message)) {
                (*topics)[wish->topic].push_back(client);
                const Published done;
                co_await mail->reply(done);
                continue;
            }
            auto& published = std::get<Published>(mail->message);
            const auto topic = topics->find(published.topic);
            if (topic == topics->end()) continue;
            const std::vector<ClientPtr> subscribers(topic->second.begin(), topic->second.end());
            co_await publish(subscribers, std::move(published));
        }
    } catch (const std::system_error&) {
        // It has gone, or sends what no client sends; either way that is its end.
    }
    for (auto topic = topics->begin(); topic != topics->end();) {
        topic->second.remove(client);
        topic = topic->second.empty() ? topics->erase(topic) : std::next(topic);
    }
    client->channel.close();
}

inline Task<> Bus::publish(std::vector<ClientPtr> subscribers, Published published) {
    for (const auto& subscriber : subscribers) {
        try {
            co_await subscriber->channel.send(published);
        } catch (const std::system_error&) {
            // That one has just gone, or is leaving.
        }
    }
}

} // namespace cohort::detail
