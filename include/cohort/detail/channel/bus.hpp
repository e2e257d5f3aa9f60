// SPDX-License-Identifier: MIT
// Bus: brings what is published on a topic to those who have subscribed to it (layer 3).
#pragma once

#include <cohort/detail/channel/bus_connection.hpp>

#include <limits>
#include <memory>

namespace cohort::detail {

/// Lives in the master. Each subscription has a connection of its own, whose queue is all that a slow subscriber costs:
/// what becomes of values that do not fit there is up to SlowSubscriber. Nobody waits for it but a publisher that wants
/// to (Published::waits). A worker may have many connections: what they cost together is bounded, too.
class Bus {
public:
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
    using SharePtr = std::shared_ptr<BusShare>;
    using ConnectionPtr = std::shared_ptr<BusConnection>;

    static Task<> serve(ConnectionPtr connection, std::shared_ptr<State> state);

    asio::any_io_executor executor_;
    ChannelLimits limits_;
    std::shared_ptr<State> state_; // shared with the coroutines, which may outlive the bus by a moment
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/bus.ipp>
#endif
