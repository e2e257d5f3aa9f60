// SPDX-License-Identifier: MIT
// The bodies of bus_connection.hpp (layer 3).
#pragma once

#include <cohort/detail/channel/bus_connection.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/error.hpp>

#include <system_error>
#include <utility>

namespace cohort::detail {

COHORT_DECL BusConnection::BusConnection(WorkerId worker, std::shared_ptr<BusShare> share, BusChannel channel,
                                         const asio::any_io_executor& executor)
    : worker_(worker), share_(std::move(share)), channel_(std::move(channel)), kept_sent_(executor) {}

// Of a publisher

COHORT_DECL void BusConnection::forget_arrived() {
    share_->arriving -= std::exchange(arriving_, 0);
    share_->delivered.notify_all();
}

/// A connection that waits has little memory.
COHORT_DECL Task<> BusConnection::room_to_arrive(std::shared_ptr<BusConnection> self) {
    MessageStream& stream = self->stream();
    BusShare& share = *self->share_;
    const std::size_t size = stream.arriving();
    while (!stream.is_over() && share.arriving != 0 && share.arriving + size > most_arriving) {
        stream.shrink();
        co_await share.delivered.wait();
    }
    self->arriving_ = size;
    share.arriving += size;
}

COHORT_DECL Task<> BusConnection::arrival(std::shared_ptr<BusConnection> self) {
    MessageStream& stream = self->stream();
    for (bool more = true; more && !stream.has_front() && !stream.is_over();) {
        // Otherwise what was counted was an answer, or the like.
        if (self->arriving_ != 0 && stream.arriving() != self->arriving_) self->forget_arrived();
        if (self->arriving_ == 0 && stream.arriving() > small_value) co_await room_to_arrive(self);
        if (self->arriving_ == 0) stream.shrink();
        more = co_await stream.fill();
    }
}

// Of a subscriber

/// One subscription per connection: a worker that subscribes without end would fill the master's memory.
COHORT_DECL void BusConnection::subscribe(std::string topic, SlowSubscriber slow, std::uint64_t number) {
    if (number_ != 0) throw std::system_error(make_error_code(Errc::bad_message));
    topic_ = std::move(topic);
    slow_ = slow;
    number_ = number;
}

COHORT_DECL Task<> BusConnection::room(std::shared_ptr<BusConnection> self, bool too_much) {
    const std::uint64_t before = self->unkept_ + self->kept_.size();
    while (self->unkept_ < before) co_await self->kept_sent_.wait();
    if (too_much)
        co_await self->stream().until_empty();
    else
        co_await self->stream().room();
}

COHORT_DECL void BusConnection::send(Published& published) {
    published.missed = std::exchange(missed_, 0);
    channel_.try_send(published);
}

COHORT_DECL void BusConnection::give(Published& published, bool too_much) {
    if (has_room(too_much)) return send(published);
    if (slow_ == SlowSubscriber::disconnect) return stream().abort();
    if (slow_ == SlowSubscriber::drop_oldest && !too_much) return keep(published);
    ++missed_;
}

COHORT_DECL std::size_t BusConnection::count_queued() {
    stream().shrink();
    return stream().queued() + kept_bytes_;
}

COHORT_DECL void BusConnection::finish() {
    try {
        while (!kept_.empty()) {
            Published published = take_kept();
            published.missed = std::exchange(missed_, 0);
            [[maybe_unused]] const auto queued = channel_.send(published); // when called
        }
        channel_.finish();
    } catch (...) {
        give_up();
    }
}

COHORT_DECL void BusConnection::keep(const Published& published) {
    const bool runs = !kept_.empty();
    kept_.push_back(published);
    kept_bytes_ += memory_of(published);
    while (kept_.size() > 1 && kept_bytes_ > most_kept) {
        take_kept();
        ++missed_;
    }
    if (!runs) spawn(stream().executor(), send_kept(shared_from_this()));
}

/// The oldest value.
COHORT_DECL Published BusConnection::take_kept() {
    Published published = std::move(kept_.front());
    kept_.pop_front();
    kept_bytes_ -= memory_of(published);
    ++unkept_;
    kept_sent_.notify_all();
    return published;
}

/// As fast as it receives.
COHORT_DECL Task<> BusConnection::send_kept(std::shared_ptr<BusConnection> self) {
    try {
        while (!self->kept_.empty()) {
            co_await self->stream().room();
            if (self->kept_.empty()) break;
            Published published = self->take_kept();
            self->send(published);
        }
    } catch (...) {
        self->give_up();
    }
}

/// It is gone, or there is no memory for more: then it learns by the end that it has not got all.
COHORT_DECL void BusConnection::give_up() {
    while (!kept_.empty()) take_kept();
    stream().abort();
}

} // namespace cohort::detail
