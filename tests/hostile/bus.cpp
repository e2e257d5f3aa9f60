// SPDX-License-Identifier: MIT
// What a worker can do with as many connections to the bus as it gets: what that costs the master, and the others.
#include <cohort/detail/channel/bus.hpp>

#include "support/cluster.hpp"
#include "support/hostile.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/ioctl.h>
#include <sys/socket.h>

using namespace test;
using cohort::detail::Bus;
using cohort::detail::BusChannel;
using cohort::detail::FrameKind;
using cohort::detail::Published;
using cohort::detail::UniqueFd;

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::int64_t megabyte = 1 << 20;
constexpr std::size_t large = 15 << 20; // just below the longest message
#if !defined(COHORT_SANITIZED)
constexpr int publishers = 60;
#else
constexpr int publishers = 15; // these take ten times as long, and memory is not looked at
#endif
constexpr unsigned long many = 8192; // descriptors: each connection has two here
constexpr WorkerId hostile_worker = 1;
constexpr WorkerId honest_worker = 2;
/// As in a master.
constexpr ChannelLimits bus_limits{.high_water = std::size_t{1} << 20};

Bytes& operator+=(Bytes& all, const Bytes& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

Bytes hello() {
    constexpr auto schema = detail::Schema::of<Published>();
    detail::Buffer payload;
    encode(detail::greeting_of(schema), payload);
    return frame(FrameKind::hello, 0, payload.bytes());
}

Bytes message(const Published& published) {
    detail::Buffer payload;
    encode(published, payload);
    return frame(FrameKind::message, 0, payload.bytes());
}

Bytes subscription(std::string topic, SlowSubscriber slow = {}) {
    Bytes bytes = hello();
    return bytes += message({.topic = std::move(topic), .subscribes = true, .slow = slow});
}

Bytes value(std::string topic, std::size_t size, bool waits = false) {
    return message({.topic = std::move(topic), .payload = std::string(size, 'v'), .waits = waits});
}

Bytes first_part(Bytes bytes, std::size_t size) {
    bytes.resize(size);
    return bytes;
}

/// In a slot of its own.
UniqueFd connect(Bus& bus, WorkerId worker) { return bus.connect(worker, worker, false); }

/// The worker's end of a connection; nothing is read from it but by read().
class Wire {
public:
    Wire(Bus& bus, std::shared_ptr<const Bytes> bytes)
        : socket_(connect(bus, hostile_worker)), bytes_(std::move(bytes)) {}

    /// As much of the bytes as there is room for. Whether that was anything.
    bool send() {
        const auto left = std::span(*bytes_).subspan(sent_);
        const ssize_t count = ::send(socket_.get(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count <= 0) return false;
        sent_ += static_cast<std::size_t>(count);
        return true;
    }
    /// Whether there was something.
    bool read() {
        static Bytes buffer(std::size_t{1} << 20);
        return ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0;
    }
    bool has_sent_all() const noexcept { return sent_ == bytes_->size(); }
    /// Whether the bus has sent more than it greeted with.
    bool has_value() const {
        int size = 0;
        ::ioctl(socket_.get(), FIONREAD, &size);
        return size > 4096;
    }

private:
    UniqueFd socket_;
    std::shared_ptr<const Bytes> bytes_;
    std::size_t sent_ = 0;
};

using Wires = std::vector<Wire>;

void add(Wires& wires, Bus& bus, int count, Bytes bytes) {
    const auto shared = std::make_shared<const Bytes>(std::move(bytes));
    for (int i = 0; i < count; ++i) wires.emplace_back(bus, shared);
}

struct Attack {
    std::string_view name;
    void (*subscribe)(Wires&, Bus&);
    void (*publish)(Wires&, Bus&);
};

void nobody(Wires&, Bus&) {}

template <SlowSubscriber slow>
void many_subscribers(Wires& wires, Bus& bus) {
    add(wires, bus, 300, subscription("mine", slow));
}

const Attack attacks[] = {
    {"large values of which the end does not come", &nobody,
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         add(wires, bus, publishers, bytes += first_part(value("mine", large), large));
     }},
    {"large values of which the end does not come, behind what is not for the bus", &nobody,
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         bytes += frame(FrameKind::reply, 1, Bytes(66'000));
         add(wires, bus, publishers, bytes += first_part(value("mine", large), large));
     }},
    {"large values, and then a part of a small one", &nobody,
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         bytes += value("mine", large);
         add(wires, bus, publishers, bytes += first_part(value("mine", 1000), 500));
     }},
    {"large values, and then a small one that waits",
     [](Wires& wires, Bus& bus) { add(wires, bus, 1, subscription("mine")); },
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         bytes += value("nobody's", large);
         for (int i = 0; i < 3; ++i) bytes += value("mine", 60'000, true);
         add(wires, bus, publishers, std::move(bytes));
     }},
    {"large values that wait for one subscriber",
     [](Wires& wires, Bus& bus) { add(wires, bus, 1, subscription("mine")); },
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         bytes += value("mine", large, true);
         add(wires, bus, publishers, bytes += value("mine", large, true));
     }},
    {"large values that wait, each for a subscriber of its own",
     [](Wires& wires, Bus& bus) {
         for (int i = 0; i < 40; ++i) add(wires, bus, 1, subscription("mine " + std::to_string(i)));
     },
     [](Wires& wires, Bus& bus) {
         for (int i = 0; i < 40; ++i) {
             Bytes bytes = hello();
             bytes += value("mine " + std::to_string(i), large / 3, true);
             add(wires, bus, 1, bytes += value("mine " + std::to_string(i), large / 3, true));
         }
     }},
    {"small values for many subscribers", &many_subscribers<SlowSubscriber::drop_newest>,
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         for (int i = 0; i < 40; ++i) bytes += value("mine", 60'000);
         add(wires, bus, 1, std::move(bytes));
     }},
    {"small values that wait for many subscribers, in turn", &many_subscribers<SlowSubscriber::drop_newest>,
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         for (int i = 0; i < 40; ++i) bytes += value("mine", 60'000, true);
         add(wires, bus, 1, std::move(bytes));
     }},
    {"tiny values with long names for those who want the newest",
     [](Wires& wires, Bus& bus) {
         add(wires, bus, publishers, subscription(std::string(1024, 'm'), SlowSubscriber::drop_oldest));
     },
     [](Wires& wires, Bus& bus) {
         Bytes bytes = hello();
         for (int i = 0; i < 10'000; ++i) bytes += value(std::string(1024, 'm'), 1);
         add(wires, bus, 1, std::move(bytes));
     }},
};

/// Two who have nothing to do with it.
struct Honest {
    Honest(asio::io_context& io, Bus& bus)
        : publisher(io.get_executor(), connect(bus, honest_worker)),
          subscriber(io.get_executor(), connect(bus, honest_worker + 1)) {}

    Task<> subscribe() {
        const Published wish{.topic = "news", .subscribes = true};
        co_await subscriber.call(wish);
    }
    /// One value after the other: the subscriber has received it before the next one is published.
    Task<> exchange(int count) {
        for (int i = 0; i < count; ++i) {
            const Published published{.topic = "news", .payload = std::string(1000, 'n')};
            co_await publisher.send(published);
            const auto received = co_await subscriber.receive();
            if (!received || received->payload != published.payload) co_return;
            ++exchanged;
        }
    }

    BusChannel publisher;
    BusChannel subscriber;
    int exchanged = 0;
};

/// Sends all that the bus takes. The most that the process had meanwhile.
std::int64_t send_all(asio::io_context& io, Wires& wires) {
    std::int64_t most = resident();
    const auto deadline = cpu_time() + patience; // it waits for nobody, and others may have the CPU meanwhile
    for (bool moved = true; moved && cpu_time() < deadline;) {
        moved = false;
        for (Wire& wire : wires) moved = wire.send() || moved;
        moved = io.poll() != 0 || moved;
        most = std::max(most, resident());
    }
    CHECK(cpu_time() < deadline);
    return most;
}

} // namespace

TEST_CASE("however many connections to the bus a worker has, they cost the master little, and others are served") {
    const DescriptorLimit enough(many);
    for (const Attack& attack : attacks) {
        CAPTURE(attack.name);
        asio::io_context io(1);
        Bus bus(io.get_executor(), bus_limits);
        Honest honest(io, bus);
        run_for(io, honest.subscribe());
        Wires wires;
        attack.subscribe(wires, bus);
        send_all(io, wires);
        attack.publish(wires, bus);
        constexpr int meanwhile = 100;
        start(io, honest.exchange(meanwhile));
        const auto before = resident();
        const auto grown = send_all(io, wires) - before;
        if (std::getenv("COHORT_SHOW") != nullptr)
            std::printf("%-60s %6ld MB\n", std::string(attack.name).c_str(), static_cast<long>(grown / megabyte));
        CHECK(grown < 200 * megabyte);
        CHECK(honest.exchanged == meanwhile);
        run_for(io, honest.exchange(10));
        CHECK(honest.exchanged == meanwhile + 10);
        wires.clear();
        settle(io);
    }
}

namespace {

Task<> count_turns(const bool& ended, int& turns) {
    while (!ended) {
        co_await yield();
        ++turns;
    }
}

} // namespace

TEST_CASE("a value for very many subscribers does not hold up the others") {
    const DescriptorLimit enough(many);
    asio::io_context io(1);
    Bus bus(io.get_executor(), bus_limits);
    Wires subscribers;
    add(subscribers, bus, 400, subscription("mine"));
    send_all(io, subscribers);
    Wires publisher;
    Bytes bytes = hello();
    add(publisher, bus, 1, bytes += value("mine", 60'000));
    bool ended = false;
    int turns = 0;
    start(io, count_turns(ended, turns));
    const auto has_value = [](const Wire& wire) { return wire.has_value(); };
    const auto some = [&] {
        publisher.front().send();
        return std::ranges::any_of(subscribers, has_value);
    };
    run_until(io, some);
    const int before = turns;
    run_until(io, [&] { return std::ranges::all_of(subscribers, has_value); });
    CHECK(turns >= before + 3);
    ended = true;
    settle(io);
}

namespace {

Task<> subscribe_to(BusChannel& subscriber, std::string topic) {
    const Published wish{.topic = std::move(topic), .subscribes = true};
    co_await subscriber.call(wish);
}

Task<> receive_all(BusChannel& subscriber, std::size_t count) {
    for (; count != 0; --count) {
        const auto published = co_await subscriber.receive();
        REQUIRE(published);
    }
}

Task<> receive_large(BusChannel& subscriber, int count, std::size_t size, int& received) {
    const Published wish{.topic = "large", .subscribes = true};
    co_await subscriber.call(wish);
    while (received < count) {
        const auto published = co_await subscriber.receive();
        if (!published || published->payload.size() != size || published->missed != 0) co_return;
        ++received;
    }
}

} // namespace

TEST_CASE("large values on many connections of one worker all arrive, though they do not all have room at once") {
    asio::io_context io(1);
    Bus bus(io.get_executor(), bus_limits);
    constexpr int connections = 20;
    constexpr std::size_t size = 5 << 20;
    for (const bool own : {false, true}) { // the subscription, too, is of the worker that publishes
        CAPTURE(own);
        BusChannel subscriber(io.get_executor(), connect(bus, own ? hostile_worker : honest_worker));
        int received = 0;
        start(io, receive_large(subscriber, connections, size, received));
        Wires wires;
        Bytes bytes = hello();
        add(wires, bus, connections, bytes += value("large", size, true));
        send_all(io, wires);
        CHECK(received == connections);
        CHECK(std::ranges::all_of(wires, &Wire::has_sent_all));
    }
}

TEST_CASE("a value waits for room, and arrives when those before it do not come after all") {
    asio::io_context io(1);
    Bus bus(io.get_executor(), bus_limits);
    BusChannel subscriber(io.get_executor(), connect(bus, honest_worker));
    int received = 0;
    start(io, receive_large(subscriber, 1, large, received));
    Wires unfinished;
    Bytes bytes = hello();
    add(unfinished, bus, 20, bytes += first_part(value("large", large), large));
    send_all(io, unfinished);
    Wires whole;
    bytes = hello();
    add(whole, bus, 1, bytes += value("large", large, true));
    send_all(io, whole);
    CHECK(received == 0);
    unfinished.clear();
    send_all(io, whole);
    CHECK(received == 1);
}

TEST_CASE("what a worker has left behind for a slow subscriber counts for its successor, until it has arrived") {
    const DescriptorLimit enough(many);
    asio::io_context io(1);
    Bus bus(io.get_executor(), bus_limits);
    constexpr unsigned slot = 7;
    BusChannel subscriber(io.get_executor(), connect(bus, honest_worker));
    run_for(io, subscribe_to(subscriber, "slow"));
    Bytes bytes = hello();
    bytes += value("slow", 60'000, true);
    std::size_t left_behind = 0;
    std::error_code refused;
    for (WorkerId worker = 100; !refused; ++worker) { // each connects once, publishes, and ends
        try {
            const UniqueFd socket = bus.connect(worker, slot, false);
            for (std::size_t sent = 0; sent != bytes.size(); io.poll()) {
                const auto count = ::send(socket.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
                REQUIRE((count > 0 || errno == EAGAIN));
                sent += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
            }
            ++left_behind;
        } catch (const std::system_error& error) {
            refused = error.code();
        }
    }
    CHECK(refused == Errc::too_many);
    CHECK_NOTHROW(bus.connect(1'000, slot + 1, false));
    run_for(io, receive_all(subscriber, left_behind));
    settle(io);
    CHECK_NOTHROW(bus.connect(1'001, slot, false));
}

TEST_CASE("subscribers that were slow once do not cost the master memory for ever") {
    const DescriptorLimit enough(many);
    asio::io_context io(1);
    Bus bus(io.get_executor(), bus_limits);
    constexpr int subscribers = 30;
    Wires wires;
    std::int64_t most = resident();
    const auto before = most;
    for (int i = 0; i < 10; ++i) {
        const std::string topic = "mine " + std::to_string(i);
        const std::size_t first = wires.size();
        add(wires, bus, subscribers, subscription(topic));
        send_all(io, wires);
        Wires publisher;
        Bytes bytes = hello();
        add(publisher, bus, 1, bytes += value(topic, 1'500'000));
        most = std::max(most, send_all(io, publisher));
        for (bool more = true; more; io.poll()) {
            more = false;
            for (std::size_t j = first; j < wires.size(); ++j) more = wires[j].read() || more;
        }
    }
    CHECK(most - before < 250 * megabyte);
}

namespace {

constexpr int tasks = 60;
constexpr std::size_t size_of_each = 2 << 20;

Task<> publish_one(App::Worker& self, std::int64_t number) {
    const Note note{std::string(size_of_each, 'x'), number};
    co_await self.publish_lossless("large", note);
}

Task<> publish_on_many_tasks(App::Worker& self) {
    co_await self.receive();
    for (int i = 0; i < tasks; ++i) spawn(self.context(), publish_one(self, i));
    co_await self.until_stopping();
}

} // namespace

TEST_CASE("a worker publishes many large values at once, and all arrive") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        auto values = co_await app.subscribe<Note>("large");
        co_await tell(app, app.spawn(publish_on_many_tasks), "go");
        std::vector<bool> arrived(tasks);
        for (int i = 0; i < tasks; ++i) {
            const auto value = co_await values.receive();
            REQUIRE(value);
            CHECK(value->text.size() == size_of_each);
            arrived.at(static_cast<std::size_t>(value->number)) = true;
        }
        CHECK(std::ranges::count(arrived, true) == tasks);
        CHECK(values.missed() == 0);
    });
}
