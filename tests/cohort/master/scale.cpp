// SPDX-License-Identifier: MIT
// More and fewer workers while the cluster runs: by a call, and by the load.
#include <cohort/detail/system/process_setup.hpp>
#include <cohort/master.hpp>

#include "support/client.hpp"

#include <algorithm>

using namespace test;

namespace {

/// Slots with a worker that is not leaving.
template <class A>
std::vector<unsigned> slots(A& app) {
    std::vector<unsigned> result;
    for (const auto& worker : app.workers())
        if (worker.state != WorkerState::draining) result.push_back(worker.slot);
    std::ranges::sort(result);
    return result;
}

using Slots = std::vector<unsigned>;

TEST_CASE("more workers are as the last one, in the lowest free slots; fewer end in the highest") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        CHECK_THROWS_WITH_AS(app.scale(2), doctest::Contains("nothing was spawned yet"), std::system_error);
        app.spawn(idle);
        WorkerOptions with_args;
        with_args.args = {"as the last one"};
        const auto say_args = [](App::Worker& self) -> Task<> {
            co_await say(self, self.args().at(0));
            co_await self.until_stopping();
        };
        app.spawn(say_args, with_args);
        app.scale(5);
        CHECK(slots(app) == Slots{0, 1, 2, 3, 4});
        for (int i = 0; i < 4; ++i) {
            const auto said = co_await mail(app);
            CHECK(said.message.text == "as the last one");
        }
        app.scale(5); // as it is
        app.disconnect(2);
        co_await end_of(app, 2);
        CHECK(slots(app) == Slots{0, 2, 3, 4});
        app.scale(5);
        CHECK(slots(app) == Slots{0, 1, 2, 3, 4});
        app.scale(2);
        CHECK(slots(app) == Slots{0, 1});
        for (int i = 0; i < 3; ++i) {
            const Event end = co_await next(app, WorkerState::exited);
            CHECK(end.voluntary);
            CHECK(end.slot >= 2);
        }
        app.scale(0);
        co_await app.until_finished();
        app.scale(1);
        CHECK(slots(app) == Slots{0});
        co_await app.stop();
        CHECK_THROWS_WITH_AS(app.scale(2), doctest::Contains("stopping"), std::system_error);
    });
}

Task<> crash_at_once(App::Worker& self) {
    if (self.slot() != 0) std::abort();
    co_await self.until_stopping();
}

TEST_CASE("a slot that waits for its next worker is scaled away, and counted while it waits") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.backoff.at_once = 0;
    options.backoff.first = options.backoff.longest = 1h;
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(crash_at_once);
        co_await end_of(app, 2);
        app.scale(2);
        CHECK(app.workers().size() == 1);
        app.scale(1);
        app.scale(2); // the place is free
        CHECK(slots(app) == Slots{0, 1});
        co_await end_of(app, 3);
        app.scale(0); // nobody waits for an hour
        co_await app.until_finished();
    });
}

TEST_CASE_TEMPLATE("a port stays open as long as some slot waits for its next worker", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.backoff.at_once = 0;
    options.backoff.first = options.backoff.longest = 100ms;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 3);
        for (const auto& worker : app.workers())
            if (worker.id != 2) ::kill(worker.pid, SIGKILL);
        for (int i = 0; i < 2; ++i) co_await next(app, WorkerState::exited);
        app.disconnect(2);
        co_await end_of(app, 2);
        app.scale(1); // of the two that wait, one
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) > 3); // one that has followed: both have, where all this takes longer than 100 ms
    });
}

template <class A>
Task<> keep_the_port(A& app, std::uint16_t port, int clients, int& wrong) {
    for (int i = 0; i < clients; ++i) {
        const std::string reply = co_await ask(app, port);
        if (who(reply) == 0) ++wrong;
    }
}

TEST_CASE_TEMPLATE("scaling up and down under load costs no connection, also during a reload", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        int wrong = 0;
        for (int round = 0; round < 10; ++round) {
            app.scale(4);
            spawn(app.context(), drop_result(app.reload()));
            co_await keep_the_port(app, port, 10, wrong);
            app.scale(1);
            co_await keep_the_port(app, port, 10, wrong);
        }
        CHECK(wrong == 0);
        while (app.workers().size() > 1) co_await pause(app.context(), 1ms);
        CHECK(slots(app) == Slots{0});
    });
}

TEST_CASE("slots that are scaled away during a reload are no failure of the reload") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.readiness = Readiness::announced;
    in_master<App>(options, [](App& app) -> Task<> {
        const auto ready_when_told = [](App::Worker& self) -> Task<> {
            const auto note = co_await self.receive();
            if (note) self.ready();
            co_await self.until_stopping();
        };
        for (int i = 0; i < 3; ++i) app.spawn(ready_when_told);
        std::optional<ReloadReport> report;
        spawn(app.context(), keep_result(app.reload(), report));
        co_await next(app, WorkerState::online);
        while (app.workers().size() < 4) co_await pause(app.context(), 1ms);
        app.scale(1); // two wait for their turn
        co_await tell(app, 4, "now");
        while (!report) co_await pause(app.context(), 1ms);
        CHECK_FALSE(report->error);
        CHECK(report->replaced == 1);
        report.reset();
        app.scale(2);
        spawn(app.context(), keep_result(app.reload(), report));
        while (!std::ranges::count(app.workers(), WorkerId{6}, &WorkerInfo::id)) co_await pause(app.context(), 1ms);
        co_await tell(app, 6, "now");
        while (!std::ranges::count(app.workers(), WorkerId{7}, &WorkerInfo::id)) co_await pause(app.context(), 1ms);
        app.scale(1); // the second one's successor is on its way
        while (!report) co_await pause(app.context(), 1ms);
        CHECK_FALSE(report->error);
        CHECK(report->replaced == 1);
        while (app.workers().size() > 1) co_await pause(app.context(), 1ms);
        CHECK(slots(app) == Slots{0});
    });
}

/// The first three listen, the others when they are told to.
template <class W>
Task<> late_server(W& self) {
    if (self.id() > 3) {
        co_await say(self, "up");
        co_await self.receive();
    }
    co_await server(self);
}

TEST_CASE_TEMPLATE("a port stays open until those that follow listen again", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(late_server<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app, 3);
        for (const auto& worker : app.workers())
            if (worker.id != 2) ::kill(worker.pid, SIGKILL);
        for (int i = 0; i < 2; ++i) co_await mail(app);
        app.disconnect(2);
        co_await end_of(app, 2);
        app.scale(1);
        co_await next(app, WorkerState::exited);
        Client client(app.context(), port);
        co_await tell(app, app.workers().front().id, "listen");
        const std::string reply = co_await client.ask("x");
        CHECK(who(reply) == app.workers().front().id);
        co_await app.stop();
    });
}

Options autoscaling() {
    Options options = plain_options();
    options.restart = Restart::permanent;
    Autoscale autoscale;
    autoscale.least = 1;
    autoscale.most = 3;
    autoscale.load_per_worker = 4;
    autoscale.interval = 5ms;
    autoscale.up_after = 2;
    autoscale.down_after = 4;
    options.autoscale = autoscale;
    return options;
}

template <class A>
Task<> until_slots(A& app, std::size_t count) {
    while (slots(app).size() != count) co_await pause(app.context(), 1ms);
}

TEST_CASE_TEMPLATE("the number of workers follows the load, up to the most and down to the least", A, App, SharedApp) {
    in_master<A>(autoscaling(), [](A& app) -> Task<> {
        app.spawn(host);
        const std::uint16_t port = co_await served_port(app);
        CHECK(slots(app).size() == 1);
        std::vector<Client> clients;
        for (int i = 0; i < 30; ++i) clients.emplace_back(app.context(), port);
        co_await until_slots(app, 3);
        std::size_t served = 0;
        for (auto& client : clients) {
            const std::string greeting = co_await client.read_line();
            served += !greeting.empty();
        }
        CHECK(served == 30);
        co_await pause(app.context(), 50ms); // ten looks
        CHECK(slots(app).size() == 3);
        for (auto& client : clients) client.write("bye");
        for (auto& client : clients) co_await client.read_all();
        clients.clear();
        co_await until_slots(app, 1);
        Client last(app.context(), port);
        const std::string greeting = co_await last.read_line();
        CHECK_FALSE(greeting.empty());
    });
}

TEST_CASE("the most is the number of usable CPUs unless another is given") {
    static int looks = 0;
    looks = 0;
    Options options = autoscaling();
    options.autoscale->most = 0;
    options.autoscale->load = [] {
        ++looks;
        return 1e9;
    };
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        const std::size_t cpus = detail::usable_cpus().size();
        co_await until_slots(app, cpus);
        for (const int begin = looks; looks < begin + 10;) co_await pause(app.context(), 1ms);
        CHECK(slots(app).size() == cpus);
        co_await app.stop();
    });
}

TEST_CASE("the load may be a number of the program's own") {
    static double load = 0;
    static int failed_looks = 0;
    failed_looks = 0;
    Options options = autoscaling();
    options.autoscale->load = [] {
        if (load < 0 && ++failed_looks > 0) throw std::runtime_error("no figure");
        return load;
    };
    in_master<App>(options, [](App& app) -> Task<> {
        load = 9;
        app.spawn(idle);
        co_await until_slots(app, 3);
        load = -1; // changes nothing
        while (failed_looks < 10) co_await pause(app.context(), 1ms);
        CHECK(slots(app).size() == 3);
        load = 3;
        co_await until_slots(app, 1);
        co_await app.stop();
    });
}

} // namespace
