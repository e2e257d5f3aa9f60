// SPDX-License-Identifier: MIT
// Bus: brings what is published on a topic to those who have subscribed to it (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/channel/bus_message.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/event.hpp>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cohort::detail {

/// Lives in the master. Each subscription has a connection of its own, so a subscriber that does not receive fills its
/// own queue and then blocks the publishers of its topic; nothing is dropped.
class Bus {
public:
    Bus(const asio::any_io_executor& executor, ChannelLimits limits) : executor_(executor), limits_(limits) {}
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;
    ~Bus() {
        for (const auto& client : clients_) client->channel.close();
    }

    /// The other end of a new connection. `owner`: the worker it is for; 0: this process. `finished`: as after
    /// finish().
    UniqueFd connect(WorkerId owner, bool finished);
    /// Sends nothing more to this worker; its subscriptions end after what is already queued.
    void finish(WorkerId owner);

private:
    struct Client {
        WorkerId owner;
        BusChannel channel;
    };
    using ClientPtr = std::shared_ptr<Client>;
    using Topics = std::map<std::string, std::list<ClientPtr>, std::less<>>;

    /// Shared with the coroutines, which may outlive the bus by a moment.
    static Task<> serve(ClientPtr client, std::shared_ptr<Topics> topics);
    static Task<> publish(std::vector<ClientPtr> subscribers, Published published);

    asio::any_io_executor executor_;
    ChannelLimits limits_;
    std::shared_ptr<Topics> topics_ = share<Topics>();
    std::list<ClientPtr> clients_;
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/bus.ipp>
#endif
