// SPDX-License-Identifier: MIT
#include <cohort/stats.hpp>

#include "support/client.hpp"

using namespace test;

namespace {

template <class A>
Task<std::map<WorkerId, std::vector<Client>>> greeted(A& app, std::uint16_t port, int count) {
    std::map<WorkerId, std::vector<Client>> of;
    for (int i = 0; i < count; ++i) {
        Client client(app.context(), port);
        const std::string greeting = co_await client.read_line();
        of[who(greeting)].push_back(std::move(client));
    }
    co_return of;
}

TEST_CASE("a sum of all slots") {
    Stats stats;
    stats.slots.push_back(
        {.slot = 0, .accepted = 1, .delivered = 2, .redelivered = 3, .refused = 4, .open = 5, .requests = 6});
    stats.slots.push_back(
        {.slot = 1, .accepted = 10, .delivered = 20, .redelivered = 30, .refused = 40, .open = 50, .requests = 60});
    const SlotStats total = stats.total();
    CHECK(total.accepted == 11);
    CHECK(total.delivered == 22);
    CHECK(total.redelivered == 33);
    CHECK(total.refused == 44);
    CHECK(total.open == 55);
    CHECK(total.requests == 66);
}

TEST_CASE("what requests have taken is counted by bounds, each inclusive") {
    struct Row {
        std::chrono::nanoseconds took;
        std::size_t bucket;
    };
    const Row rows[] = {{0ns, 0},   {100us, 0},      {100us + 1ns, 1},
                        {250us, 1}, {1ms, 3},        {999ms, 12},
                        {10s, 15},  {10s + 1ns, 16}, {std::chrono::nanoseconds::max(), 16}};
    for (const Row& row : rows) {
        CAPTURE(row.took.count());
        CHECK(Latency::bucket_of(row.took) == row.bucket);
    }
}

TEST_CASE("a share of all requests did not take longer than its quantile") {
    Latency latency;
    CHECK(latency.quantile(0.5) == 0us);
    latency.counts[0] = 98;
    latency.counts[3] = 1;
    CHECK(latency.quantile(0) == 100us);
    CHECK(latency.quantile(0.98) == 100us);
    CHECK(latency.quantile(0.99) == 1ms);
    CHECK(latency.quantile(1) == 1ms);
    CHECK(latency.quantile(7) == 1ms);
    latency.counts.back() = 1;
    CHECK(latency.count() == 100);
    CHECK(latency.quantile(1) == std::chrono::microseconds::max());
}

TEST_CASE("the workers of a generation are summed up") {
    Stats stats;
    stats.workers.resize(3);
    for (unsigned i = 0; i != 3; ++i) {
        stats.workers[i].generation = i / 2;
        stats.workers[i].requests = i + 1;
        stats.workers[i].responses[4] = 10 * (i + 1);
        stats.workers[i].latency.counts[2] = 100 * (i + 1);
        stats.workers[i].latency.sum = 1s;
    }
    const WorkerStats before = stats.of_generation(0);
    CHECK(before.requests == 3);
    CHECK(before.responses[4] == 30);
    CHECK(before.latency.counts[2] == 300);
    CHECK(before.latency.sum == 2s);
    CHECK(stats.of_generation(1).requests == 3);
    CHECK(stats.of_generation(2).requests == 0);
}

TEST_CASE("the master sees what each slot has had, and what it has now") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        auto of = co_await greeted(app, port, 6);
        auto stats = app.stats();
        REQUIRE(stats.slots.size() == 2);
        for (unsigned slot = 0; slot < 2; ++slot) {
            const SlotStats& of_slot = stats.slots[slot];
            CHECK(of_slot.slot == slot);
            CHECK(of_slot.worker == slot + 1);
            CHECK(of_slot.accepted == 3);
            CHECK(of_slot.delivered == 3);
            CHECK(of_slot.redelivered + of_slot.refused == 0);
            CHECK(of_slot.open == 3);
        }
        of[1].clear();
        while (app.stats().slots[0].open > 0) co_await pause(app.context(), 1ms);
        CHECK(app.stats().slots[0].accepted == 3);
    });
}

TEST_CASE_TEMPLATE("what a slot has had is never less than before, whoever dies", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(host);
        const std::uint16_t port = co_await served_port(app);
        for (WorkerId worker = 1; worker <= 3; ++worker) {
            const auto of = co_await greeted(app, port, 4);
            CHECK(app.stats().slots.at(0).accepted == 4 * worker);
            CHECK(app.stats().slots.at(0).open == 4);
            ::kill(app.workers().at(0).pid, SIGKILL);
            co_await end_of(app, worker);
            CHECK(app.stats().slots.at(0).accepted == 4 * worker);
            CHECK(app.stats().slots.at(0).open == 0);
            CHECK_FALSE(app.stats().slots.at(0).worker);
            co_await served_port(app);
        }
    });
}

Task<> count_requests(App::Worker& self) {
    for (int i = 0; i < 3; ++i) const auto counted = self.begin_request();
    co_await say(self, "counted");
    co_await self.until_stopping();
}

TEST_CASE("requests count for a slot, and stay counted") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(count_requests);
        for (WorkerId worker = 1; worker <= 3; ++worker) {
            co_await mail(app);
            CHECK(app.stats().slots.at(0).requests == 3 * worker);
            ::kill(app.workers().at(0).pid, SIGKILL);
            co_await end_of(app, worker);
            CHECK(app.stats().slots.at(0).requests == 3 * worker);
        }
    });
}

TEST_CASE("connections that were on their way to a worker that died count as rescued") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_when_told<App::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 10);
        while (app.stats().total().delivered < 10) co_await pause(app.context(), 1ms);
        app.kill(1, SIGKILL);
        co_await end_of(app, 1);
        co_await tell(app, 2, "serve");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, 10}});
        CHECK(app.stats().slots[0].redelivered == 5);
        CHECK(app.stats().slots[1].delivered == 10);
    });
}

TEST_CASE("the kernel's queue of each listener shows what nobody has accepted") {
    Options options = plain_options();
    options.backlog = 50;
    in_master<SharedApp>(options, [](SharedApp& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_when_told<SharedApp::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        const auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 10);
        const Stats stats = app.stats();
        REQUIRE(stats.queues.size() == 2);
        CHECK(stats.queues[0].length + stats.queues[1].length == 10);
        for (unsigned slot = 0; slot < 2; ++slot) {
            CHECK(stats.queues[slot].endpoint.port() == port);
            CHECK(stats.queues[slot].slot == slot);
            CHECK(stats.queues[slot].limit == 50);
        }
    });
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(host);
        const std::uint16_t port = co_await served_port(app);
        const Stats stats = app.stats();
        REQUIRE(stats.queues.size() == 1);
        CHECK(stats.queues[0].endpoint.port() == port);
        CHECK_FALSE(stats.queues[0].slot);
        CHECK(stats.queues[0].limit == 50);
    });
}

} // namespace
