// SPDX-License-Identifier: MIT
#include <cohort/detail/channel/bus.hpp>

#include "support/run_for.hpp"

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

using namespace cohort;
using namespace cohort::detail;
using namespace test;

namespace {

/// What a worker might do with its end, whatever the library in it does.
struct Wire {
    Wire(asio::io_context& io, Bus& bus) : channel(io.get_executor(), bus.connect(1, 1, false)) {}

    Task<> say(std::string topic, bool subscribes) {
        const Published message{.topic = std::move(topic), .type = 1, .payload = "value", .subscribes = subscribes};
        co_await channel.send(message);
    }
    Task<> subscribe(std::string topic) {
        const Published wish{.topic = std::move(topic), .subscribes = true};
        co_await channel.call(wish);
    }
    Task<std::string> next() {
        auto published = co_await channel.receive();
        co_return published ? published->topic + " " + published->payload : "end";
    }

    BusChannel channel;
};

Task<> expect_value(Wire& publisher, Wire& subscriber) {
    co_await publisher.say("news", false);
    const std::string next = co_await subscriber.next();
    CHECK(next == "news value");
}

Task<> expect_end(Wire& wire) {
    std::string next = "cut off";
    try {
        next = co_await wire.next();
    } catch (const std::system_error&) {
    }
    CHECK(next != "news value");
}

Task<> subscribe_once(Wire& publisher, Wire& subscriber) {
    co_await subscriber.subscribe("news");
    co_await expect_value(publisher, subscriber);
    co_await expect_value(publisher, subscriber);
}

/// `first` and `second` by a call, as the library does, or by a message that waits for no reply.
Task<> subscribe_twice(Wire& publisher, Wire& subscriber, bool first, bool second, std::string topic) {
    if (first)
        co_await subscriber.subscribe("news");
    else
        co_await subscriber.say("news", true);
    if (second) {
        std::error_code error;
        try {
            co_await subscriber.subscribe(topic);
        } catch (const std::system_error& refusal) {
            error = refusal.code();
        }
        CHECK(error);
    } else {
        co_await subscriber.say(topic, true);
    }
    co_await expect_end(subscriber);
    co_await publisher.say("news", false); // the others are not concerned
}

} // namespace

TEST_CASE("a connection to the bus is for one subscription: what asks for more is ended, the others go on") {
    asio::io_context io;
    Bus bus(io.get_executor(), {});
    Wire publisher(io, bus);
    Wire subscriber(io, bus);
    Wire other(io, bus);
    run_for(io, subscribe_once(publisher, other));
    SUBCASE("asked twice for the same topic") {
        run_for(io, subscribe_twice(publisher, subscriber, true, true, "news"));
    }
    SUBCASE("asked for another topic") { run_for(io, subscribe_twice(publisher, subscriber, true, true, "sports")); }
    SUBCASE("without waiting for the reply") {
        run_for(io, subscribe_twice(publisher, subscriber, false, false, "news"));
    }
    SUBCASE("first without, then with") { run_for(io, subscribe_twice(publisher, subscriber, false, true, "news")); }
    run_for(io, expect_value(publisher, other));
    publisher.channel.close();
    other.channel.close();
    subscriber.channel.close();
    settle(io);
}

namespace {

Task<> publish_numbers(Wire& publisher, int count) {
    for (int i = 0; i < count; ++i) {
        const Published message{.topic = "news", .type = 1, .payload = std::to_string(i) + std::string(1000, ' ')};
        co_await publisher.channel.send(message);
    }
    const Published done{.topic = "nobody's", .subscribes = true};
    co_await publisher.channel.call(done); // all before it was delivered
}

Task<> receive_last(Wire& subscriber, int& last, std::uint64_t& values) {
    std::optional<Published> published = co_await subscriber.channel.receive();
    while (published) {
        last = std::stoi(published->payload);
        values += 1 + published->missed;
        published = co_await subscriber.channel.receive();
    }
}

Task<> finish_a_slow_one(Bus& bus, Wire& publisher, Wire& subscriber) {
    const Published wish{.topic = "news", .subscribes = true, .slow = SlowSubscriber::drop_oldest};
    co_await subscriber.channel.call(wish);
    constexpr int count = 5000;
    co_await publish_numbers(publisher, count);
    bus.finish(1);
    int last = -1;
    std::uint64_t values = 0;
    co_await receive_last(subscriber, last, values);
    CHECK(last == count - 1);
    CHECK(values == count);
}

} // namespace

TEST_CASE("a subscriber that wants the newest value gets it although it is to leave") {
    asio::io_context io;
    Bus bus(io.get_executor(), {.high_water = 100'000});
    Wire publisher(io, bus);
    Wire subscriber(io, bus);
    run_for(io, finish_a_slow_one(bus, publisher, subscriber));
}
