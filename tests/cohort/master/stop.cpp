// SPDX-License-Identifier: MIT
// How workers leave: asked one by one or all together, by their own decision, or by force after the grace period.
#include <cohort/master.hpp>

#include "support/client.hpp"

#include <algorithm>

using namespace test;

namespace {

using enum WorkerState;

/// Says how each of the things it waits for ended.
Task<> leave_in_steps(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    const auto connection = co_await listener.accept();
    co_await say(self, connection ? "a connection" : "no more connections");
    const auto note = co_await self.receive();
    co_await say(self, note ? "a message" : "no more messages");
    co_await self.until_stopping();
    std::string refused = "could listen";
    try {
        auto another = co_await self.listen(any_port());
    } catch (const std::system_error& error) {
        if (error.code() == Errc::stopping) refused = "refused";
    }
    co_await say(self, refused, self.stopping());
}

TEST_CASE(
    "a worker that is asked to leave gets no more connections, messages or listeners, and its sibling serves on") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId leaving = app.spawn(leave_in_steps);
        const WorkerId staying = app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 2);
        app.disconnect(leaving);
        CHECK_NOTHROW(app.disconnect(leaving)); // again
        CHECK(app.workers().at(0).state == draining);
        for (const char* expected : {"no more connections", "no more messages", "refused"}) {
            const auto step = co_await mail(app);
            CHECK(step.message.text == expected);
        }
        const auto end = co_await end_of(app, leaving);
        CHECK(end.voluntary);
        CHECK(end.status->success());
        for (int i = 0; i < 10; ++i) {
            const std::string reply = co_await ask(app, port);
            CHECK(who(reply) == staying);
        }
    });
}

TEST_CASE("a worker that neither listens nor talks can be asked to leave") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(idle);
        app.disconnect(worker); // it is not even online
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), draining) == 1);
        CHECK(events.back().status->success());
        CHECK(events.back().voluntary);
    });
}

Task<> listen_too_late(App::Worker& self) {
    co_await self.until_stopping();
    auto listener = co_await self.listen(any_port());
}

TEST_CASE("a worker that was about to listen when it was asked to leave has not failed") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(listen_too_late);
        app.spawn(server);
        co_await app.stop();
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), exited) == 2);
        for (const Event& event : events)
            if (event.kind == exited) CHECK(event.status->success());
    });
}

Task<int> leave_by_itself(App::Worker& self) {
    self.disconnect();
    self.disconnect(); // again
    const auto note = co_await self.receive();
    co_await say(self, note ? "a message" : "no more messages", self.stopping());
    co_return 6;
}

TEST_CASE("a worker can leave by its own decision: the body goes on, its code counts, no successor comes") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(leave_by_itself);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "no more messages");
        CHECK(said.message.number == 1);
        const auto events = co_await all_events(app);
        CHECK(kinds(events) == std::vector{forked, online, draining, exited});
        CHECK(events.back().voluntary);
        CHECK(events.back().status->code() == 6);
    });
}

TEST_CASE("master and worker may decide at the same time: still one draining and one exited event") {
    for (int i = 0; i < 20; ++i) {
        in_master<App>(plain_options(), [](App& app) -> Task<> {
            const WorkerId worker = app.spawn(leave_by_itself);
            co_await next(app, online);
            app.disconnect(worker);
            const auto events = co_await all_events(app);
            CHECK(kinds(events) == std::vector{draining, exited});
        });
    }
}

Task<> serve_detached(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) {
        co_await say(self, "accepted");
        co_await answer(self, std::move(*socket)); // the client decides how long that takes
    }
}

TEST_CASE("a worker that is asked to leave finishes the connection it serves") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(serve_detached);
        const std::uint16_t port = co_await served_port(app);
        Client client(app.context(), port);
        co_await mail(app);
        app.disconnect(worker);
        co_await next(app, draining);
        co_await pause(app.context(), 20ms);
        CHECK(app.workers().size() == 1); // it waits for the client
        const std::string reply = co_await client.ask("late");
        CHECK(reply == "1 late");
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->success());
    });
}

TEST_CASE("a worker that does not leave is killed when its grace is over, and that is voluntary") {
    Options options = plain_options();
    options.grace = 50ms;
    in_master<App>(options, [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(spin<App::Worker>);
        co_await mail(app);
        const auto asked = std::chrono::steady_clock::now();
        app.disconnect(worker);
        const Event end = co_await end_of(app, worker);
        CHECK(std::chrono::steady_clock::now() - asked >= 50ms);
        CHECK(end.status->signal() == SIGKILL);
        CHECK(end.voluntary);
    });
}

TEST_CASE("stop() asks everybody and returns when the last worker has gone") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 3);
        co_await app.stop();
        CHECK(app.workers().empty());
        CHECK(app.stopping());
        CHECK_THROWS_AS(Client(app.context(), port), std::system_error);
        CHECK_THROWS_WITH_AS(app.spawn(idle), doctest::Contains("stopping"), std::system_error);
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), draining) == 3);
        CHECK(std::ranges::count(kinds(events), exited) == 3);
        CHECK(std::ranges::count(kinds(events), forked) == 0);
        for (const auto& event : events) CHECK((event.kind != exited || event.voluntary));
        co_await app.stop(); // again: there is nothing to do
    });
}

TEST_CASE("stop() of a master without workers ends, and so do those who wait for mail and events") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        co_await app.stop();
        const auto event = co_await app.next_event();
        CHECK_FALSE(event);
        const auto message = co_await app.receive();
        CHECK_FALSE(message);
        co_await app.until_finished();
    });
}

Task<> crash_when_told(App::Worker& self) {
    const auto note = co_await self.receive();
    if (!note) std::abort();
}

TEST_CASE("a worker that crashes during the stop has no successor") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(crash_when_told);
        co_await next(app, online);
        co_await app.stop();
        const auto events = co_await all_events(app);
        CHECK(kinds(events) == std::vector{draining, exited});
        CHECK(events.back().status->signal() == SIGABRT);
    });
}

TEST_CASE("a slot that waits for its next worker does not hold up the end") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.backoff.at_once = 0;
    options.backoff.first = options.backoff.longest = 1h;
    for (const bool gracefully : {true, false}) {
        in_master<App>(options, [gracefully](App& app) -> Task<> {
            const WorkerId worker = app.spawn(crash_when_told);
            co_await tell(app, worker, "now");
            co_await end_of(app, worker);
            if (gracefully)
                co_await app.stop();
            else
                app.kill_all();
            co_await app.until_finished();
            const auto none = co_await app.next_event();
            CHECK_FALSE(none);
        });
    }
}

TEST_CASE("kill_all() ends also those that are stuck") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(spin<App::Worker>);
        app.spawn(idle);
        co_await mail(app);
        ::kill(app.workers().at(1).pid, SIGSTOP);
        app.kill_all();
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), exited) == 2);
        CHECK(events.back().status->signal() == SIGKILL);
    });
}

TEST_CASE("twenty workers that are told to leave and killed at once all end") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 20; ++i) app.spawn(server);
        co_await served_port(app, 20);
        for (const auto& worker : app.workers()) {
            app.disconnect(worker.id);
            if (worker.id % 2 == 0) app.kill(worker.id, worker.id % 4 == 0 ? SIGKILL : SIGTERM);
        }
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), draining) == 20);
        CHECK(std::ranges::count(kinds(events), exited) == 20);
    });
}

} // namespace
