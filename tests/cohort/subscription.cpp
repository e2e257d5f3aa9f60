// SPDX-License-Identifier: MIT
#include <cohort/subscription.hpp>

#include <cohort/detail/system/system.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace test;

namespace topics {

struct Price {
    std::string symbol;
    std::int64_t amount = 0;
};

} // namespace topics

using topics::Price;

namespace {

constexpr std::int64_t many = 100'000;

/// Publishes as often as it is told, then says so.
Task<> publisher(App::Worker& self) {
    while (const auto order = co_await self.receive()) {
        for (std::int64_t i = 0; i < order->number; ++i) {
            const Price price{std::to_string(self.id()), i};
            co_await self.publish(order->text, price);
        }
        co_await say(self, "published");
    }
}

Task<> lossless_publisher(App::Worker& self) {
    const auto order = co_await self.receive();
    for (std::int64_t i = 0; i < order->number; ++i) {
        const Price price{std::to_string(self.id()), i};
        co_await self.publish_lossless(order->text, price);
    }
    co_await say(self, "published");
    co_await self.until_stopping();
}

/// Reports the sum of what it hears from each publisher, if in order, when 2 x 100 values have come.
Task<> subscriber(App::Worker& self) {
    auto prices = co_await self.subscribe<Price>("prices");
    co_await say(self, "subscribed");
    std::map<std::string, std::int64_t> next;
    std::int64_t right = 0;
    while (right < 200) {
        const auto price = co_await prices.receive();
        if (!price || price->amount != next[price->symbol]++) break;
        ++right;
    }
    co_await say(self, "heard", right);
    co_await self.until_stopping();
}

TEST_CASE("what two workers publish reaches every subscriber, and the master, in each publisher's order") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        auto mine = co_await app.subscribe<Price>("prices");
        auto others = co_await app.subscribe<Price>("other prices");
        for (int i = 0; i < 3; ++i) app.spawn(subscriber);
        for (int i = 0; i < 3; ++i) co_await mail(app);
        for (int i = 0; i < 2; ++i) co_await tell(app, app.spawn(publisher), "prices", 100);
        int heard = 0;
        while (heard < 3) {
            const auto said = co_await mail(app);
            if (said.message.text != "heard") continue;
            CHECK(said.message.number == 200);
            ++heard;
        }
        std::map<std::string, std::int64_t> next;
        for (int i = 0; i < 200; ++i) {
            const auto price = co_await mine.receive();
            REQUIRE(price);
            CHECK(price->amount == next[price->symbol]++);
        }
        const Price mine_too{"master", 7};
        co_await app.publish("other prices", mine_too);
        const auto price = co_await others.receive();
        CHECK(price->symbol == "master");
    });
}

TEST_CASE("a subscription ends when its worker is to leave") {
    struct Run {
        static Task<int> listen(App::Worker& self) {
            auto prices = co_await self.subscribe<Price>("prices");
            co_await say(self, "subscribed");
            const auto price = co_await prices.receive();
            co_return price ? 1 : 0;
        }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(&Run::listen);
        co_await mail(app);
        app.disconnect(worker);
        const Event end = co_await end_of(app, worker);
        CHECK(end.status == ExitStatus::exited(0));
    });
}

TEST_CASE("publishing to nobody, and to somebody who has died, does no harm") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(subscriber);
        co_await mail(app);
        app.kill(worker, SIGKILL);
        co_await end_of(app, worker);
        const Price price{"to nobody", 1};
        for (int i = 0; i < 100; ++i) co_await app.publish("prices", price);
        const WorkerId another = app.spawn(publisher);
        co_await tell(app, another, "prices", 1000);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "published");
    });
}

TEST_CASE("a publisher that wants to waits for a subscriber who does not keep up, and nothing is lost") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        auto prices = co_await app.subscribe<Price>("prices");
        const WorkerId worker = app.spawn(lossless_publisher);
        co_await tell(app, worker, "prices", many);
        const auto first = co_await either(drop_result(app.receive()), pause(app.context(), 100ms));
        CHECK(first == 1); // it still waits
        std::int64_t next = 0;
        while (next < many) {
            const auto price = co_await prices.receive();
            if (!price || price->amount != next) break;
            ++next;
        }
        CHECK(next == many);
        CHECK(prices.missed() == 0);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "published");
    });
}

/// Says what it has heard when the topic ends, or when it has heard of the value before the last.
Task<> slow_subscriber(App::Worker& self) {
    const auto order = co_await self.receive();
    auto prices = co_await self.subscribe<Price>("prices", static_cast<SlowSubscriber>(order->number));
    co_await say(self, "subscribed");
    std::int64_t received = 0;
    std::int64_t last = -1;
    bool in_order = true;
    while (const auto price = co_await prices.receive()) {
        // What was missed and what was received are all there were.
        in_order = in_order && price->amount == received + static_cast<std::int64_t>(prices.missed());
        last = price->amount;
        ++received;
        if (price->symbol == "end") break;
    }
    co_await say(self, "received", received);
    co_await say(self, "missed", static_cast<std::int64_t>(prices.missed()));
    co_await say(self, in_order ? "in order" : "gap not told", last);
    co_await self.until_stopping();
}

struct Policy {
    std::string_view name;
    SlowSubscriber slow;
};

const Policy policies[] = {{"drop_newest", SlowSubscriber::drop_newest},
                           {"drop_oldest", SlowSubscriber::drop_oldest},
                           {"disconnect", SlowSubscriber::disconnect}};

/// Publishes values of about a kilobyte; gives how long that took.
Task<std::chrono::milliseconds> publish_large(App& app, std::int64_t first, std::int64_t last, std::string symbol) {
    const auto begin = std::chrono::steady_clock::now();
    symbol.resize(1000, ' ');
    for (std::int64_t i = first; i < last; ++i) {
        const Price price{symbol, i};
        co_await app.publish("prices", price);
    }
    co_return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
}

/// As long as it does not keep up the subscriber may miss these, too.
Task<> publish_ends(App& app, std::int64_t number, const bool& enough) {
    while (!enough) {
        const Price end{"end", number++};
        co_await app.publish("prices", end);
        co_await pause(app.context(), 10ms);
    }
}

/// The numbers that the subscriber says.
Task<std::map<std::string, std::int64_t>> report(App& app) {
    std::map<std::string, std::int64_t> numbers;
    while (numbers.size() < 3) {
        const auto said = co_await mail(app);
        numbers[said.message.text] = said.message.number;
    }
    co_return numbers;
}

TEST_CASE("a subscriber that stands still holds up nobody, and is told what it has missed") {
    static constexpr std::int64_t count = 5000;
    for (const Policy& policy : policies) {
        CAPTURE(policy.name);
        in_master<App>(plain_options(), [&policy](App& app) -> Task<> {
            const WorkerId stopped = app.spawn(slow_subscriber);
            co_await tell(app, stopped, "subscribe", static_cast<std::int64_t>(policy.slow));
            co_await mail(app);
            auto mine = co_await app.subscribe<Price>("prices", SlowSubscriber::drop_oldest);
            app.kill(stopped, SIGSTOP);
            co_await publish_large(app, 0, count, "value");
            const auto price = co_await mine.receive();
            CHECK(price->amount == static_cast<std::int64_t>(mine.missed()));
            app.kill(stopped, SIGCONT);
            static bool reported;
            reported = false;
            if (policy.slow != SlowSubscriber::disconnect) spawn(app.context(), publish_ends(app, count, reported));
            const auto numbers = co_await report(app);
            reported = true;
            REQUIRE(numbers.contains("in order"));
            const std::int64_t missed = numbers.at("missed");
            const std::int64_t received = numbers.at("received");
            if (policy.slow == SlowSubscriber::disconnect) {
                CHECK(missed == 0);
                CHECK(received < count);
            } else {
                CHECK(missed > 0);
                CHECK(received + missed == numbers.at("in order") + 1);
                CHECK(numbers.at("in order") >= count);
            }
        });
    }
}

TEST_CASE("workers publish to each other although one that has subscribed is stopped") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId stopped = app.spawn(slow_subscriber);
        co_await tell(app, stopped, "subscribe", 0);
        co_await mail(app);
        app.kill(stopped, SIGSTOP);
        co_await publish_large(app, 0, 3000, "value");
        std::map<std::string, int> said; // a subscriber that still gets some of these values has heard enough
        for (int i = 0; i < 3; ++i) app.spawn(subscriber);
        while (said["subscribed"] < 3) {
            const auto letter = co_await mail(app);
            ++said[letter.message.text];
        }
        for (int i = 0; i < 2; ++i) co_await tell(app, app.spawn(publisher), "prices", 100);
        while (said["heard"] < 3 || said["published"] < 2) {
            const auto letter = co_await mail(app);
            ++said[letter.message.text];
        }
        CHECK(said["heard"] == 3);
    });
}

Task<> subscribe_for_ever(App::Worker& self) {
    std::vector<Subscription<Price>> all;
    std::error_code error;
    while (!error) {
        const std::string topic = "topic " + std::to_string(all.size());
        try {
            auto one = co_await self.subscribe<Price>(topic);
            all.push_back(std::move(one));
        } catch (const std::system_error& failure) {
            error = failure.code();
        }
    }
    const std::string what = error.message();
    co_await say(self, what, static_cast<std::int64_t>(all.size()));
    all.pop_back();
    bool again = false;
    while (!again) { // until the master has noticed that one is gone
        co_await pause(self.context(), 1ms);
        try {
            auto one = co_await self.subscribe<Price>("once more");
            again = true;
        } catch (const std::system_error&) {
        }
    }
    co_await say(self, "again");
    co_await self.until_stopping();
}

TEST_CASE("a worker has so many subscriptions and no more; others still subscribe") {
    const DescriptorLimit few(512);
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(subscribe_for_ever);
        const auto refused = co_await mail(app);
        CHECK(refused.message.text == make_error_code(Errc::too_many).message());
        CHECK(refused.message.number == static_cast<std::int64_t>(cohort::detail::share_of_descriptors()));
        const auto again = co_await mail(app);
        CHECK(again.message.text == "again");
        app.spawn(subscriber);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "subscribed");
    });
}

TEST_CASE("the name of a topic is bounded") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        std::error_code error;
        try {
            static_cast<void>(co_await app.subscribe<Price>(std::string(1025, 't')));
        } catch (const std::system_error& failure) {
            error = failure.code();
        }
        CHECK(error == Errc::message_too_large);
        auto longest = co_await app.subscribe<Price>(std::string(1024, 't'));
        const Price price{"long", 1};
        co_await app.publish(std::string(1024, 't'), price);
        const auto heard = co_await longest.receive();
        CHECK(heard->symbol == "long");
    });
}

TEST_CASE("another type on the same topic is an error for the subscriber, who may go on") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        auto prices = co_await app.subscribe<Price>("prices");
        const int number = 5;
        co_await app.publish("prices", number);
        const Price right{"right", 1};
        co_await app.publish("prices", right);
        std::error_code error;
        try {
            static_cast<void>(co_await prices.receive());
        } catch (const std::system_error& failure) {
            error = failure.code();
        }
        CHECK(error == Errc::schema_mismatch);
        const auto price = co_await prices.receive();
        CHECK(price->symbol == "right");
    });
}

} // namespace

namespace {

Task<> receive_one(Subscription<Price>& prices, std::optional<Price>& got, bool& done) {
    got = co_await prices.receive();
    done = true;
}

} // namespace

TEST_CASE("a subscription may be moved, or go, while somebody receives from it") {
    for (const bool goes : {false, true}) {
        CAPTURE(goes);
        in_master<App>(plain_options(), [goes](App& app) -> Task<> {
            app.spawn(idle);
            auto subscribed = co_await app.subscribe<Price>("prices");
            auto first = std::make_unique<Subscription<Price>>(std::move(subscribed));
            std::optional<Price> got;
            bool done = false;
            spawn(app.context(), receive_one(*first, got, done));
            co_await pause(app.context(), 1ms); // it waits
            std::optional<Subscription<Price>> second;
            if (!goes) second.emplace(std::move(*first));
            first.reset();
            const Price price{"symbol", 7};
            co_await app.publish("prices", price);
            while (!done) co_await pause(app.context(), 1ms);
            CHECK(got.has_value() == !goes);
            if (second) CHECK(second->missed() == 0);
            app.kill_all();
        });
    }
}
