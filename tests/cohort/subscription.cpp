// SPDX-License-Identifier: MIT
#include <cohort/subscription.hpp>

#include "support/cluster.hpp"

#include <csignal>
#include <map>

using namespace test;

namespace topics {

struct Price {
    std::string symbol;
    std::int64_t amount = 0;
};

} // namespace topics

using topics::Price;

namespace {

constexpr std::int64_t many = 200'000;

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

TEST_CASE("a publisher waits for a subscriber who does not keep up, and nothing is lost") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        auto prices = co_await app.subscribe<Price>("prices");
        const WorkerId worker = app.spawn(publisher);
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
        const auto said = co_await mail(app);
        CHECK(said.message.text == "published");
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
