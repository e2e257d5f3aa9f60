// SPDX-License-Identifier: MIT
// The bodies of bus.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/bus.hpp>
#include <cohort/detail/system/fd_passing.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>

#include <utility>

namespace cohort::detail {

COHORT_DECL UniqueFd Bus::connect(WorkerId owner, bool finished) {
    std::erase_if(clients_, [](const ClientPtr& client) { return !client->channel.is_open(); });
    auto [mine, others] = make_socketpair(SOCK_STREAM);
    auto client = share<Client>(Client{owner, BusChannel::accepted(executor_, std::move(mine), limits_)});
    clients_.push_back(client);
    if (finished) client->channel.finish(); // it may still publish
    spawn(executor_, serve(std::move(client), topics_));
    return std::move(others);
}

COHORT_DECL void Bus::finish(WorkerId owner) {
    for (const auto& client : clients_)
        if (client->owner == owner) client->channel.finish();
}

COHORT_DECL Task<> Bus::serve(ClientPtr client, std::shared_ptr<Topics> topics) {
    bool subscribed = false;
    try {
        while (auto mail = co_await client->channel.receive_mail()) {
            Published& published = mail->message;
            if (published.subscribes) {
                // One subscription per connection: a worker that subscribes without end would fill the master's memory.
                if (std::exchange(subscribed, true)) throw std::system_error(make_error_code(Errc::bad_message));
                (*topics)[published.topic].push_back(client);
                const Published done;
                co_await mail->reply(done);
                continue;
            }
            const auto topic = topics->find(published.topic);
            if (topic == topics->end()) continue;
            const std::vector<ClientPtr> subscribers(topic->second.begin(), topic->second.end());
            co_await publish(subscribers, std::move(published));
        }
    } catch (const std::system_error&) {
        // The client is gone, or sent an invalid message; either way its connection is closed.
    }
    for (auto topic = topics->begin(); topic != topics->end();) {
        topic->second.remove(client);
        topic = topic->second.empty() ? topics->erase(topic) : std::next(topic);
    }
    client->channel.close();
}

COHORT_DECL Task<> Bus::publish(std::vector<ClientPtr> subscribers, Published published) {
    for (const auto& subscriber : subscribers) {
        try {
            co_await subscriber->channel.send(published);
        } catch (const std::system_error&) {
            // That one has just gone, or is leaving.
        }
    }
}

} // namespace cohort::detail
