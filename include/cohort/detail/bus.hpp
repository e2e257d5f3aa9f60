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
        for (const auto& member : members_) member->channel.close();
    }

    /// The other end of a new connection. `owner`: the worker it is for; 0: this process.
    UniqueFd connect(WorkerId owner);
    /// Nothing more goes to this worker; its subscriptions end behind what is on the way.
    void finish(WorkerId owner);

private:
    struct Member {
        WorkerId owner;
        BusChannel::Peer channel;
    };
    using MemberPtr = std::shared_ptr<Member>;
    using Topics = std::map<std::string, std::list<MemberPtr>, std::less<>>;

    /// Shared with the coroutines, which may outlive the bus by a moment.
    static Task<> serve(MemberPtr member, std::shared_ptr<Topics> topics);
    static Task<> publish(std::vector<MemberPtr> subscribers, Published published);

    asio::any_io_executor executor_;
    ChannelLimits limits_;
    std::shared_ptr<Topics> topics_ = std::make_shared<Topics>();
    std::list<MemberPtr> members_;
};

inline UniqueFd Bus::connect(WorkerId owner) {
    std::erase_if(members_, [](const MemberPtr& member) { return !member->channel.is_open(); });
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    auto member =
        std::make_shared<Member>(Member{owner, BusChannel::Peer::accepted(executor_, std::move(mine), limits_)});
    members_.push_back(member);
    asio::co_spawn(executor_, serve(std::move(member), topics_), asio::detached);
    return std::move(others);
}

inline void Bus::finish(WorkerId owner) {
    for (const auto& member : members_)
        if (member->owner == owner) member->channel.finish();
}

inline Task<> Bus::serve(MemberPtr member, std::shared_ptr<Topics> topics) {
    try {
        while (auto mail = co_await member->channel.receive_mail()) {
            if (auto* const wish = std::get_if<Subscribe>(&mail->message)) {
                (*topics)[wish->topic].push_back(member);
                const Published done;
                co_await mail->reply(done);
                continue;
            }
            auto& published = std::get<Published>(mail->message);
            const auto topic = topics->find(published.topic);
            if (topic == topics->end()) continue;
            const std::vector<MemberPtr> subscribers(topic->second.begin(), topic->second.end());
            co_await publish(subscribers, std::move(published));
        }
    } catch (const std::system_error&) {
        // It has gone, or sends what no member sends; either way that is its end.
    }
    for (auto topic = topics->begin(); topic != topics->end();) {
        topic->second.remove(member);
        topic = topic->second.empty() ? topics->erase(topic) : std::next(topic);
    }
    member->channel.close();
}

inline Task<> Bus::publish(std::vector<MemberPtr> subscribers, Published published) {
    for (const auto& subscriber : subscribers) {
        try {
            co_await subscriber->channel.send(published);
        } catch (const std::system_error&) {
            // That one has just gone, or is leaving.
        }
    }
}

} // namespace cohort::detail
