// SPDX-License-Identifier: MIT
#include <cohort/reload.hpp>

#include "support/client.hpp"

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <set>

using namespace test;

namespace {

/// What is wrong with new workers.
std::atomic<int>& fault() {
    static std::atomic<int>& number = make_shared_number();
    return number;
}

/// Serves, unless it is told not to come as far: 1: it throws, 2: it never listens, 3: it ends.
template <class W>
Task<> fallible_server(W& self) {
    switch (fault()) {
        case 1: throw std::runtime_error("bad version");
        case 2: co_await self.until_stopping(); co_return;
        case 3: co_return;
        default: break;
    }
    auto listener = co_await self.listen(any_port());
    co_await serve(self, listener);
}

/// Asks one after the other, each on a connection of its own, until told to stop; gives who answered.
struct IncomingPeer {
    std::map<WorkerId, int> answered;
    bool stop = false;
    bool ended = false;
};

template <class A>
Task<> visit(A& app, std::uint16_t port, IncomingPeer& visitor) {
    while (!visitor.stop) {
        const std::string reply = co_await ask(app, port);
        ++visitor.answered[who(reply)];
    }
    visitor.ended = true;
}

template <class A>
Task<> end_visit(A& app, IncomingPeer& visitor) {
    visitor.stop = true;
    while (!visitor.ended) co_await pause(app.context(), 1ms);
}

template <class A>
std::set<WorkerId> ids(A& app) {
    std::set<WorkerId> result;
    for (const auto& worker : app.workers())
        if (worker.state != WorkerState::draining) result.insert(worker.id);
    return result;
}

/// Until this worker has answered; then it does not count as healthy any more.
template <class A>
Task<> turn_when_answered(A& app, IncomingPeer& visitor, WorkerId worker, bool& healthy) {
    while (visitor.answered[worker] == 0) co_await pause(app.context(), 1ms);
    healthy = false;
}

template <class A>
Task<> kill_when_listening(A& app, WorkerId worker) {
    while (const auto event = co_await app.next_event())
        if (event->kind == WorkerState::listening && event->worker >= worker) app.kill(event->worker, SIGKILL);
}

TEST_CASE_TEMPLATE("a reload replaces every worker, and no client notices", A, App, SharedApp) {
    fault() = 0;
    in_master<A>(permanent_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(fallible_server<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app, 3);
        IncomingPeer visitor;
        spawn(app.context(), visit(app, port, visitor));
        for (int round = 0; round < 10; ++round) {
            const auto before = ids(app);
            const auto report = co_await app.reload();
            CHECK_FALSE(report.error);
            CHECK(report.replaced == 3);
            const auto after = ids(app);
            CHECK(after.size() == 3);
            for (const auto id : before) CHECK_FALSE(after.contains(id));
        }
        co_await end_visit(app, visitor);
        CHECK(visitor.answered.count(0) == 0);
        // The old ones leave, and nobody else.
        while (app.workers().size() > 3) co_await pause(app.context(), 1ms);
        std::set<unsigned> slots;
        for (const auto& worker : app.workers()) slots.insert(worker.slot);
        CHECK(slots == std::set<unsigned>{0, 1, 2});
    });
}

TEST_CASE_TEMPLATE("a new version that does not start leaves the old workers where they are", A, App, SharedApp) {
    Options options = permanent_options();
    for (const int kind : {1, 2, 3}) {
        options.boot_timeout = kind == 2 ? 1s : 20s; // those that end do it in time, also on a busy machine
        fault() = 0;
        in_master<A>(options, [kind](A& app) -> Task<> {
            for (int i = 0; i < 2; ++i) app.spawn(fallible_server<typename A::Worker>);
            const std::uint16_t port = co_await served_port(app, 2);
            fault() = kind;
            const auto before = ids(app);
            const auto report = co_await app.reload();
            CHECK(report.error == Errc::not_ready);
            CHECK(report.replaced == 0);
            CHECK(report.failed == 3);
            if (kind == 1) CHECK(report.status == ExitStatus::exited(1));
            if (kind == 2) CHECK_FALSE(report.status);
            if (kind == 3) CHECK(report.status == ExitStatus::exited(0));
            while (app.workers().size() > 2) co_await pause(app.context(), 1ms);
            CHECK(ids(app) == before);
            for (int i = 0; i < 10; ++i) {
                const std::string reply = co_await ask(app, port);
                CHECK(before.contains(who(reply)));
            }
            // Mended, it goes through.
            fault() = 0;
            const auto again = co_await app.reload();
            CHECK_FALSE(again.error);
            CHECK(again.replaced == 2);
        });
    }
}

TEST_CASE("one reload at a time: those that are asked for meanwhile are one more, after it") {
    fault() = 0;
    in_master<App>(permanent_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(fallible_server<App::Worker>);
        co_await served_port(app, 2);
        ReloadReport first, second, third;
        co_await both(both(keep_result(app.reload(), first), keep_result(app.reload(), second)),
                      keep_result(app.reload(), third));
        for (const ReloadReport& report : {first, second, third}) {
            CHECK_FALSE(report.error);
            CHECK(report.replaced == 2);
        }
        std::vector<WorkerId> current;
        for (const WorkerInfo& worker : app.workers())
            if (worker.state < WorkerState::draining) current.push_back(worker.id);
        CHECK(current == std::vector<WorkerId>{5, 6});
    });
}

TEST_CASE("a stop wins over a reload") {
    fault() = 0;
    in_master<App>(permanent_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(fallible_server<App::Worker>);
        co_await served_port(app, 2);
        fault() = 2;
        const auto stopping = [](App& it) -> Task<> {
            co_await next(it, WorkerState::online); // of the successor
            co_await it.stop();
        };
        ReloadReport report;
        co_await both(keep_result(app.reload(), report), stopping(app));
        CHECK(report.error == Errc::stopping);
        CHECK(app.workers().empty());
        const auto late = co_await app.reload();
        CHECK(late.error == Errc::stopping);
    });
}

TEST_CASE_TEMPLATE("a worker that dies while its successor starts is replaced by it", A, App, SharedApp) {
    fault() = 0;
    in_master<A>(permanent_options(), [](A& app) -> Task<> {
        app.spawn(fallible_server<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        const auto kill_the_old_one = [](A& it) -> Task<> {
            co_await next(it, WorkerState::forked);
            ::kill(it.workers().at(0).pid, SIGKILL);
        };
        ReloadReport report;
        co_await both(keep_result(app.reload(), report), kill_the_old_one(app));
        CHECK_FALSE(report.error);
        while (app.workers().size() > 1) co_await pause(app.context(), 1ms);
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == 2);
    });
}

/// Listens at once, and can serve only when it is told.
template <class W>
Task<> slow_starter(W& self) {
    auto listener = co_await self.listen(any_port());
    co_await self.receive();
    self.ready();
    co_await serve(self, listener);
}

/// That it may be ready. Until then the old one is not to leave.
Task<> tell_the_next(App& app, std::set<WorkerId> with_it) {
    co_await served_port(app);
    for (int turns = 0; turns < 100; ++turns) co_await asio::post(asio::use_awaitable);
    CHECK(ids(app) == with_it);
    co_await tell(app, *with_it.rbegin(), "be ready");
}

TEST_CASE("a worker may say itself when it is ready") {
    Options options = permanent_options();
    options.readiness = Readiness::announced;
    options.boot_timeout = 1s;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(slow_starter<App::Worker>);
        co_await tell(app, 1, "be ready");
        co_await served_port(app);
        const std::set<WorkerId> first_two{1, 2};
        ReloadReport report;
        co_await both(keep_result(app.reload(), report), tell_the_next(app, first_two));
        CHECK_FALSE(report.error);
        app.spawn(fallible_server<App::Worker>); // says nothing
        fault() = 0;
        co_await served_port(app);
        const std::set<WorkerId> all{2, 3, 4};
        ReloadReport refused;
        co_await both(keep_result(app.reload(), refused), tell_the_next(app, all));
        CHECK(refused.error == Errc::not_ready);
        CHECK(refused.replaced == 1);
    });
}

/// Has closed and opened its listener some times.
template <class W>
Task<> restless_server(W& self) {
    if (self.id() == 1)
        for (int i = 0; i < 3; ++i) auto closed_again = co_await self.listen(any_port());
    auto listener = co_await self.listen(any_port());
    co_await serve(self, listener);
}

TEST_CASE("a successor need not repeat what its predecessor has closed again") {
    in_master<App>(permanent_options(), [](App& app) -> Task<> {
        app.spawn(restless_server<App::Worker>);
        co_await served_port(app, 4);
        const auto report = co_await app.reload();
        CHECK_FALSE(report.error);
        CHECK(report.replaced == 1);
    });
}

TEST_CASE("workers that do not listen are ready when they run") {
    in_master<App>(permanent_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(echo<App::Worker>);
        const auto report = co_await app.reload();
        CHECK_FALSE(report.error);
        CHECK(report.replaced == 2);
    });
}

// Canaries

Options canary_options(std::chrono::milliseconds soak) {
    Options options = permanent_options();
    options.canary.workers = 1;
    options.canary.soak = soak;
    options.canary.interval = 5ms;
    return options;
}

TEST_CASE("a canary serves beside its predecessor, and when it does well all are replaced") {
    int asked = 0;
    Options options = canary_options(200ms);
    options.canary.healthy = [&asked] { return ++asked > 0; };
    fault() = 0;
    in_master<App>(options, [&asked](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(fallible_server<App::Worker>);
        co_await served_port(app, 2);
        const auto begin = std::chrono::steady_clock::now();
        const auto report = co_await app.reload();
        CHECK(report);
        CHECK(report.replaced == 2);
        CHECK(std::chrono::steady_clock::now() - begin >= 200ms);
        CHECK(asked > 1);
        CHECK(ids(app) == std::set<WorkerId>{3, 4});
        co_await app.stop();
    });
}

bool complain() { throw std::runtime_error("no figures"); }

TEST_CASE("a canary that does not do well leaves again, and no client notices") {
    bool throws = false;
    SUBCASE("it is said so") {}
    SUBCASE("the question throws") { throws = true; }
    bool healthy = true;
    Options options = canary_options(10s);
    options.canary.healthy = [&] { return healthy || (throws && complain()); };
    fault() = 0;
    in_master<App>(options, [&healthy](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(fallible_server<App::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        IncomingPeer visitor;
        spawn(app.context(), visit(app, port, visitor));
        spawn(app.context(), turn_when_answered(app, visitor, 3, healthy));
        const auto report = co_await app.reload();
        CHECK(report.error == Errc::canary_failed);
        CHECK(report.replaced == 0);
        CHECK(ids(app) == std::set<WorkerId>{1, 2});
        co_await end_of(app, 3);
        co_await end_visit(app, visitor);
        CHECK(visitor.answered[0] == 0);
        CHECK(visitor.answered[3] > 0);
        co_await app.stop();
    });
}

TEST_CASE("a canary that crashes ends the reload, and the old worker has its slot") {
    fault() = 0;
    in_master<App>(canary_options(10s), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(fallible_server<App::Worker>);
        co_await served_port(app, 2);
        spawn(app.context(), kill_when_listening(app, 3));
        const auto report = co_await app.reload();
        CHECK(report.error == Errc::canary_failed);
        CHECK(report.failed == 3);
        CHECK(report.status == ExitStatus::signaled(SIGKILL));
        CHECK(ids(app) == std::set<WorkerId>{1, 2});
        const auto again = co_await app.reload();
        CHECK(again.error == Errc::canary_failed);
        co_await app.stop();
    });
}

// Generations

/// Does not leave by itself.
template <class W>
Task<> stubborn_server(W& self) {
    auto listener = co_await self.listen(any_port());
    co_await serve(self, listener);
    for (;;) co_await pause(self.context(), 1h);
}

TEST_CASE("of too many generations that are leaving, the oldest is ended") {
    Options options = permanent_options();
    options.draining_per_slot = 2;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(stubborn_server<App::Worker>);
        co_await served_port(app);
        for (WorkerId worker = 1; worker <= 4; ++worker) {
            const auto report = co_await app.reload();
            CHECK(report);
            if (worker < 3) continue;
            const Event end = co_await end_of(app, worker - 2);
            CHECK(end.status == ExitStatus::signaled(SIGKILL));
            CHECK(end.voluntary);
        }
        CHECK(app.workers().size() == 3);
        app.kill_all();
        co_await app.until_finished();
    });
}

} // namespace
