// SPDX-License-Identifier: MIT
// BusConnection: one connection of a process to the bus, seen from there, and what it may cost (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/channel/bus_message.hpp>
#include <cohort/event.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

namespace cohort::detail {

/// What all connections of the workers of a slot cost together: those of one that has ended are here until its last
/// values are delivered.
struct BusShare {
    BusShare(unsigned its_slot, const asio::any_io_executor& executor) : slot(its_slot), delivered(executor) {}

    unsigned slot;
    std::size_t arriving = 0;  // bytes of its large values that are on their way through this process
    Notifier delivered;        // one of them
    std::size_t queued = 0;    // bytes that waited for its subscriptions when counted, and what was given them since
    std::uint64_t counted = 0; // in this turn
};

/// It belongs to a worker, or to this process, which publishes over it, or has subscribed to one topic.
class BusConnection : public std::enable_shared_from_this<BusConnection> {
public:
    /// Longest value that is not a large one, bytes.
    static constexpr std::size_t small_value = std::size_t{64} << 10;

    BusConnection(WorkerId worker, std::shared_ptr<BusShare> share, BusChannel channel,
                  const asio::any_io_executor& executor);
    BusConnection(const BusConnection&) = delete;
    BusConnection& operator=(const BusConnection&) = delete;

    WorkerId worker() const noexcept { return worker_; }
    const std::shared_ptr<BusShare>& share() const noexcept { return share_; }
    BusChannel& channel() noexcept { return channel_; }
    MessageStream& stream() noexcept { return Access::stream(channel_); }

    // Of a publisher

    /// Until a message is here as a whole, or none will come. A connection whose large value would be one too many of
    /// its share is not read meanwhile.
    static Task<> arrival(std::shared_ptr<BusConnection> self);
    /// The value that came was delivered, or will not be.
    void forget_arrived();

    // Of a subscriber

    /// Throws Errc::bad_message if it has subscribed already.
    void subscribe(std::string topic, SlowSubscriber slow, std::uint64_t number);
    const std::string& topic() const noexcept { return topic_; }
    /// Of the subscription, 0: there is none.
    std::uint64_t number() const noexcept { return number_; }
    /// Whether it can be sent a value. `too_much`: for its share.
    bool has_room(bool too_much = false) { return !too_much && kept_.empty() && stream().has_room(); }
    /// Until what is kept now is sent, and there is room; until nothing is queued, if its share has too much.
    static Task<> room(std::shared_ptr<BusConnection> self, bool too_much);
    /// Sends a value for which there is room.
    void send(Published& published);
    /// Sends it, or does what its subscriber wants where there is no room.
    void give(Published& published, bool too_much);
    /// Bytes that wait for it. Gives back the memory of what was queued once.
    std::size_t count_queued();
    /// It gets what is kept for it, and then the end.
    void finish();

private:
    static Task<> room_to_arrive(std::shared_ptr<BusConnection> self);
    static Task<> send_kept(std::shared_ptr<BusConnection> self);
    void keep(const Published& published);
    Published take_kept();
    void give_up();

    /// Bytes of the values that are kept for a subscriber who wants the newest.
    static constexpr std::size_t most_kept = std::size_t{1} << 20;
    /// Bytes of the large values that all connections of a share may bring at a time. One value may always come,
    /// however large, so that they do not wait for each other.
    static constexpr std::size_t most_arriving = std::size_t{64} << 20;

    WorkerId worker_;
    std::shared_ptr<BusShare> share_;
    BusChannel channel_;
    std::size_t arriving_ = 0; // its part of BusShare::arriving
    std::string topic_;
    std::uint64_t number_ = 0;
    SlowSubscriber slow_ = SlowSubscriber::drop_newest;
    std::uint64_t missed_ = 0;   // values that were dropped behind the last one that was sent
    std::list<Published> kept_;  // of drop_oldest: until there is room
    std::size_t kept_bytes_ = 0; // that these take
    std::uint64_t unkept_ = 0;   // how many were kept once
    Notifier kept_sent_;         // one of them, or it was dropped
};

/// What a value takes that is kept, bytes.
inline std::size_t memory_of(const Published& published) {
    return sizeof published + published.topic.size() + published.payload.size();
}

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/channel/bus_connection.ipp>
#endif
