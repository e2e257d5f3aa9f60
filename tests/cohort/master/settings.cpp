// SPDX-License-Identifier: MIT
// What may change while the cluster runs.
#include <cohort/master.hpp>

#include "support/client.hpp"

#include <functional>
#include <string>
#include <system_error>

using namespace test;

using enum WorkerState;

namespace {

/// Does not leave, whoever asks.
Task<> stay(App::Worker& self) {
    co_await say(self, "here");
    for (;;) co_await pause(self.context(), 1h);
}

Task<int> fail(App::Worker&) { co_return 1; }

} // namespace

TEST_CASE("the grace that was set holds for who is asked to leave from then on") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(stay);
        const auto note = co_await mail(app);
        app.set({.grace = 50ms});
        const auto begin = std::chrono::steady_clock::now();
        co_await app.stop();
        CHECK(std::chrono::steady_clock::now() - begin < 10s); // of 20 s before
        CHECK(app.options().grace == 50ms);
    });
}

TEST_CASE("as many workers, and calls at a time, as were set") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(idle);
        app.set({.workers = 3, .calls_per_worker = 2, .queued_calls = 7});
        CHECK(app.workers().size() == 3);
        CHECK(app.options().calls_per_worker == 2);
        CHECK(app.options().queued_calls == 7);
        co_await app.stop();
        CHECK_THROWS_AS(app.set({.workers = 4}), std::system_error);
    });
}

TEST_CASE("a limit of connections that was set is that of the workers that are there, too") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(host);
        const std::uint16_t port = co_await served_port(app);
        app.set({.connections_per_worker = 1});
        Client first(app.context(), port);
        co_await first.read_line();
        Client second(app.context(), port);
        while (app.stats().load() < 2) co_await pause(app.context(), 1ms);
        CHECK(app.stats().slots.at(0).open == 1);
        app.set({.connections_per_worker = 2});
        co_await second.read_line();
        CHECK(app.stats().slots.at(0).open == 2);
    });
}

TEST_CASE("a backoff that was set counts from the next end on") {
    Options options = permanent_options();
    options.backoff = {.at_once = 0, .first = 1ms, .longest = 1ms, .failed_starts = 1'000};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(fail);
        for (int i = 0; i != 3; ++i) co_await next(app, exited);
        app.set({.backoff = Backoff{.at_once = 0, .first = 1ms, .longest = 1ms, .failed_starts = 1}});
        while (!app.has_given_up()) co_await next(app, exited);
        co_await app.until_finished();
    });
}

TEST_CASE("recycling that was set concerns the workers that are there") {
    in_master<App>(permanent_options(), [](App& app) -> Task<> {
        app.spawn(idle);
        co_await next(app, online);
        app.set({.recycle = Recycle{.age = 20ms, .interval = 10ms}});
        const Event event = co_await end_of(app, 1);
        CHECK(event.voluntary);
        app.set({.recycle = Recycle{}});
        CHECK_FALSE(app.workers().empty());
    });
}

TEST_CASE("settings that would contradict the options change nothing, and are refused with a sentence") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(idle);
        const auto before = app.options().grace;
        CHECK_THROWS_WITH_AS(app.set({.workers = 2, .grace = 1ms, .reload_at_once = 0}),
                             doctest::Contains("reload_at_once"), std::system_error);
        CHECK(app.options().grace == before);
        CHECK(app.workers().size() == 1);
        app.set({});
        co_await app.stop();
    });
}

/// What a function among the options has captured must outlive the change.
TEST_CASE("settings may be changed while a function among the options runs, and by one of them") {
    struct Seen {
        int begun = 0;
        int ended = 0;
        bool same = true;
        App* app = nullptr;
    };
    Seen seen;
    Options options = permanent_options();
    const std::string text(100, 'x');
    options.probe.interval = 5ms;
    options.probe.check = [&seen, text](const WorkerInfo&) -> Task<bool> {
        ++seen.begun;
        co_await pause(seen.app->context(), 20ms);
        seen.same = seen.same && text == std::string(100, 'x');
        ++seen.ended;
        co_return true;
    };
    options.hooks.before_fork = [&seen, text](unsigned) {
        if (seen.app != nullptr) seen.app->set({.grace = 11s});
        seen.same = seen.same && text == std::string(100, 'x');
    };
    in_master<App>(options, [&seen](App& app) -> Task<> {
        seen.app = &app;
        app.spawn(idle);
        for (int i = 0; i != 3; ++i) {
            while (seen.begun == seen.ended) co_await pause(app.context(), 1ms);
            const int before = seen.ended;
            app.set({.reload_at_once = 2, .recycle = Recycle{}});
            while (seen.ended == before) co_await pause(app.context(), 1ms);
        }
        CHECK(seen.same);
        CHECK(app.options().grace == 11s);
        CHECK(app.options().reload_at_once == 2);
        co_await app.stop();
    });
}

TEST_CASE("a master whose options contradict themselves is not made") {
    asio::io_context io(1);
    Options options = plain_options();
    options.credit = 0;
    CHECK_THROWS_WITH_AS(App(io, options), doctest::Contains("Options::credit is 0"), std::system_error);
}
