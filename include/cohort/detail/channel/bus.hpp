// SPDX-License-Identifier: MIT
// Bus: brings what is published on a topic to those who have subscribed to it (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/channel/bus_message.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/event.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <string>
#include <utility>

namespace cohort::detail {

/// Lives in the master. Each subscription has a connection of its own, whose queue is all that a slow subscriber costs:
/// what becomes of values that do not fit there is up to SlowSubscriber. Nobody waits for it but a publisher that wants
/// to (Published::waits). A worker may have many connections: what they cost together is bounded, too.
class Bus {
public:
    /// The workers of a slot, and what all their connections cost together: those of one that has ended are here until
    /// its last values are delivered.
    struct Owner {
        Owner(unsigned its_slot, const asio::any_io_executor& executor) : slot(its_slot), delivered(executor) {}

        unsigned slot;
        std::size_t arriving = 0; // bytes of its large values that are on their way through this process
        Notifier delivered;       // one of them
        std::size_t queued = 0;   // bytes that waited for its subscriptions when counted, and what was given them since
        std::uint64_t counted = 0; // in this turn
    };

    /// A connection that belongs to a worker, and what it has subscribed to.
    struct Client {
        Client(WorkerId its_worker, std::shared_ptr<Owner> its_owner, BusChannel its_channel,
               const asio::any_io_executor& executor)
            : worker(its_worker), owner(std::move(its_owner)), channel(std::move(its_channel)), kept_sent(executor) {}

        WorkerId worker;
        std::shared_ptr<Owner> owner;
        BusChannel channel;
        std::size_t arriving = 0; // its part of Owner::arriving
        std::string topic;
        std::uint64_t number = 0; // of the subscription, 0: it is none
        SlowSubscriber slow = SlowSubscriber::drop_newest;
        std::uint64_t missed = 0;   // values that were dropped behind the last one that was sent
        std::list<Published> kept;  // of drop_oldest: until there is room
        std::size_t kept_bytes = 0; // that these take
        std::uint64_t unkept = 0;   // how many were kept once
        Notifier kept_sent;         // one of them, or it was dropped
    };

    Bus(const asio::any_io_executor& executor, ChannelLimits limits);
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;
    ~Bus();

    /// The other end of a new connection for this worker of the slot. `finished`: as after finish(). Throws
    /// Errc::too_many, EMFILE.
    UniqueFd connect(WorkerId worker, unsigned slot, bool finished);
    /// The same for this process. Throws EMFILE.
    UniqueFd connect(bool finished) { return connect(this_process, no_slot, finished); }
    /// Sends nothing more to this worker; its subscriptions end after what is already queued.
    void finish(WorkerId worker);
    /// The same for this process.
    void finish() { finish(this_process); }

private:
    static constexpr WorkerId this_process = 0; // no worker has this id
    static constexpr unsigned no_slot = std::numeric_limits<unsigned>::max();

    struct State;
    using OwnerPtr = std::shared_ptr<Owner>;
    using ClientPtr = std::shared_ptr<Client>;

    static Task<> serve(ClientPtr client, std::shared_ptr<State> state);

    asio::any_io_executor executor_;
    ChannelLimits limits_;
    std::shared_ptr<State> state_; // shared with the coroutines, which may outlive the bus by a moment
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/bus.ipp>
#endif
