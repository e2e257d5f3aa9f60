// SPDX-License-Identifier: MIT
// Crashes that concern everybody, hooks, limited lifetimes, and odd moments in the life of a worker.
#include <cohort/master.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

using namespace test;

namespace {

using enum WorkerState;

// Strategy::one_for_all

Options joint_options() {
    Options options = permanent_options();
    options.strategy = Strategy::one_for_all;
    return options;
}

Task<> abort_when_told(App::Worker& self) {
    const auto note = co_await self.receive();
    if (note && note->text == "abort") std::abort();
    if (note && note->text == "leave") self.disconnect();
    co_await self.until_stopping();
}

Task<> until_online(App& app, int count) {
    for (int i = 0; i < count; ++i) co_await next(app, online);
}

TEST_CASE("one for all: when a worker crashes all go, and when the last has gone all slots start again in order") {
    in_master<App>(joint_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(abort_when_told);
        co_await until_online(app, 3);
        WorkerId first = 1;
        for (int round = 0; round < 2; ++round, first += 3) {
            co_await tell(app, first + 1, "abort");
            std::vector<Event> events;
            while (events.empty() || events.back().kind != online || events.back().worker != first + 5)
                events.push_back((co_await app.next_event()).value());
            std::vector<std::pair<WorkerId, unsigned>> started;
            std::set<WorkerId> gone;
            for (const Event& event : events) {
                if (event.kind == exited) gone.insert(event.worker);
                if (event.kind == exited) CHECK(event.voluntary == (event.worker != first + 1));
                if (event.kind != forked) continue;
                CHECK(gone.size() == 3);
                started.emplace_back(event.worker, event.slot);
            }
            CHECK(started ==
                  std::vector<std::pair<WorkerId, unsigned>>{{first + 3, 0}, {first + 4, 1}, {first + 5, 2}});
        }
    });
}

TEST_CASE("one for all: a worker that leaves or is asked to leave concerns nobody else") {
    in_master<App>(joint_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(abort_when_told);
        co_await until_online(app, 3);
        app.disconnect(1);
        co_await end_of(app, 1);
        co_await tell(app, 2, "leave");
        co_await end_of(app, 2);
        CHECK(app.workers().size() == 1);
        CHECK(app.workers()[0].state == online);
        co_await tell(app, 3, "abort"); // it is alone now
        const Event event = co_await next(app, online);
        CHECK(event.worker == 4);
        CHECK(event.slot == 2);
    });
}

Task<> ignore_everything(App::Worker& self) {
    co_await say(self, "here");
    for (;;) co_await pause(self.context(), 1h);
}

TEST_CASE("one for all: those that do not leave are killed after the grace period, and a stop wins") {
    Options options = joint_options();
    options.grace = 50ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(ignore_everything);
        app.spawn(ignore_everything);
        for (int i = 0; i < 2; ++i) co_await mail(app);
        ::kill(app.workers()[1].pid, SIGKILL);
        const Event end = co_await end_of(app, 1);
        CHECK(end.status->signal() == SIGKILL);
        co_await until_online(app, 2);
        ::kill(app.workers()[1].pid, SIGKILL);
        co_await next(app, draining);
        co_await app.stop();
        CHECK(app.workers().empty());
        co_await app.until_finished();
    });
}

TEST_CASE("one for all: a reload does not go on meanwhile") {
    Options options = joint_options();
    options.readiness = Readiness::announced; // nobody is ever ready
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(abort_when_told);
        co_await until_online(app, 3);
        std::optional<ReloadReport> report;
        spawn(app.context(), keep_result(app.reload(), report));
        co_await until_online(app, 1); // a successor beside worker 1
        co_await tell(app, 2, "abort");
        for (int i = 0; i < 4; ++i) co_await next(app, exited);
        REQUIRE(report);
        CHECK(report->error == Errc::not_ready);
        co_await until_online(app, 3);
        std::vector<unsigned> slots;
        for (const auto& worker : app.workers()) slots.push_back(worker.slot);
        CHECK(slots == std::vector<unsigned>{0, 1, 2});
    });
}

Task<> abort_in_slot_1(App::Worker& self) {
    if (self.slot() == 1) std::abort();
    co_await self.until_stopping();
}

TEST_CASE("one for all: a slot that is given up takes the others with it, and each crash counts once") {
    Options options = joint_options();
    options.backoff.restarts = 4;
    options.backoff.period = 1min;
    options.backoff.first = options.backoff.longest = 1ms;
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(abort_in_slot_1);
        const auto events = co_await all_events(app);
        std::map<unsigned, int> starts;
        for (const Event& event : events) starts[event.slot] += event.kind == forked;
        CHECK(starts == std::map<unsigned, int>{{0, 5}, {1, 5}, {2, 5}});
        CHECK(app.has_given_up());
        CHECK(app.workers().empty());
    });
}

// Hooks

struct Called {
    std::vector<unsigned> before_fork;
    std::vector<WorkerId> on_exit;
};

Task<> crash_once(App::Worker& self) {
    if (self.id() == 1) std::abort();
    co_await self.until_stopping();
}

TEST_CASE("hooks are called before a process is made, in it, and after its end") {
    Called called;
    Options options = permanent_options();
    options.hooks.before_fork = [&](unsigned slot) { called.before_fork.push_back(slot); };
    options.hooks.in_worker = [](WorkerId worker, unsigned slot) {
        ::setenv("COHORT_TEST", (std::to_string(worker) + "/" + std::to_string(slot)).c_str(), 1);
    };
    options.hooks.on_exit = [&](const Event& event) {
        called.on_exit.push_back(event.worker);
        CHECK(event.kind == exited);
        CHECK(event.status);
        CHECK(event.pid != 0);
        if (event.worker == 1) CHECK(event.status->signal() == SIGABRT);
        throw std::runtime_error("on purpose");
    };
    in_master<App>(options, [&called](App& app) -> Task<> {
        const auto say_env = [](App::Worker& self) -> Task<> {
            co_await say(self, ::getenv("COHORT_TEST"));
            co_await self.until_stopping();
        };
        app.spawn(crash_once);
        app.spawn(say_env);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "2/1");
        CHECK(::getenv("COHORT_TEST") == nullptr);
        co_await end_of(app, 1);
        co_await next(app, forked); // its successor
        co_await app.stop();
        CHECK(called.before_fork == std::vector<unsigned>{0, 1, 0});
        std::ranges::sort(called.on_exit);
        CHECK(called.on_exit == std::vector<WorkerId>{1, 2, 3});
    });
}

TEST_CASE("a hook before the fork refuses the start; at a restart that is tried again") {
    int refusals = 0;
    bool refuse = true;
    Options options = permanent_options();
    options.backoff.first = 1ms;
    options.hooks.before_fork = [&](unsigned) {
        if (!refuse) return;
        ++refusals;
        throw std::runtime_error("not now");
    };
    in_master<App>(options, [&](App& app) -> Task<> {
        CHECK_THROWS_WITH_AS(app.spawn(crash_once), doctest::Contains("not now"), std::system_error);
        CHECK(app.workers().empty());
        refuse = false;
        app.spawn(crash_once);
        refuse = true;
        co_await end_of(app, 1);
        while (refusals < 4) co_await pause(app.context(), 1ms);
        refuse = false;
        const Event event = co_await next(app, online);
        CHECK(event.worker == 2);
        CHECK(event.slot == 0);
        refuse = true;
        const auto report = co_await app.reload();
        CHECK(report.error == Errc::setup_failed);
        CHECK(app.workers().size() == 1);
    });
}

TEST_CASE("a hook before the fork that ends the cluster: nobody is started any more, and it ends") {
    for (const bool kill : {false, true}) {
        CAPTURE(kill);
        std::optional<App>* master = nullptr;
        Options options = permanent_options();
        options.backoff.first = 1ms;
        options.hooks.before_fork = [&](unsigned) {
            if (!*master || (*master)->workers().empty() || (*master)->workers().back().id < 2) return;
            if (kill)
                (*master)->kill_all();
            else
                spawn((*master)->context(), (*master)->stop());
        };
        asio::io_context io(1);
        std::optional<App> app;
        master = &app;
        app.emplace(io, options);
        run_script(io, [](App& it) -> Task<> {
            it.spawn(idle);
            it.spawn(idle);
            ::kill(it.workers().front().pid, SIGKILL); // its successor's start is what the hook sees
            co_await it.until_finished();
            CHECK(it.workers().empty());
        }(*app));
    }
}

TEST_CASE("a hook before the fork that adds workers is refused while one is added, and may where one is replaced") {
    const std::function<void(App&)> ways[] = {[](App& app) { app.scale(3); }, [](App& app) { app.spawn(idle); }};
    for (const auto& add : ways) {
        std::optional<App>* master = nullptr;
        bool adds = false;
        Options options = permanent_options();
        options.hooks.before_fork = [&](unsigned) {
            if (adds) add(**master);
        };
        asio::io_context io(1);
        std::optional<App> app;
        master = &app;
        app.emplace(io, options);
        app->spawn(idle);
        adds = true;
        CHECK_THROWS_WITH_AS(app->spawn(idle), doctest::Contains("before_fork"), std::system_error);
        CHECK_THROWS_AS(app->scale(2), std::system_error);
        CHECK(app->workers().size() == 1);
        adds = false;
        app->spawn(idle);
        CHECK(app->workers().size() == 2);
    }
}

TEST_CASE("a hook in the worker that throws is a set-up that failed") {
    Options options = plain_options();
    options.hooks.in_worker = [](WorkerId, unsigned) { throw std::runtime_error("no licence"); };
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        const auto events = co_await all_events(app);
        CHECK(kinds(events) == std::vector{forked, exited});
        CHECK(events.back().status->code() == 1);
        CHECK_FALSE(events.back().voluntary);
    });
}

/// Leaves in one of several ways; what it does at its end comes through a pipe.
int at_exit_pipe[2];

void note_at_exit(char what) { [[maybe_unused]] const auto written = ::write(at_exit_pipe[1], &what, 1); }

Task<int> leave_somehow(App::Worker& self) {
    self.at_exit([] { note_at_exit('1'); });
    self.at_exit([] { throw std::runtime_error("on purpose"); });
    self.at_exit([] { note_at_exit('2'); });
    const auto note = co_await self.receive();
    if (note->text == "exit") co_await self.exit(3);
    if (note->text == "std::exit") std::exit(3);
    if (note->text == "throw") throw std::runtime_error("on purpose");
    if (note->text == "abort") std::abort();
    co_return 3;
}

TEST_CASE("what is to be done at the end is done, the last first, unless the worker is killed") {
    for (const std::string end : {"return", "exit", "std::exit", "throw", "abort"}) {
        CAPTURE(end);
        REQUIRE(::pipe2(at_exit_pipe, O_CLOEXEC) == 0);
        in_master<App>(plain_options(), [&end](App& app) -> Task<> {
            const WorkerId worker = app.spawn(leave_somehow);
            co_await tell(app, worker, end);
            const Event event = co_await end_of(app, worker);
            if (end == "abort")
                CHECK(event.status->signal() == SIGABRT);
            else
                CHECK(event.status->code() == (end == "throw" ? 1 : 3));
        });
        ::close(at_exit_pipe[1]);
        char done[10] = {};
        CHECK(::read(at_exit_pipe[0], done, sizeof done) >= 0);
        CHECK(std::string(done) == (end == "abort" ? "" : "21"));
        ::close(at_exit_pipe[0]);
    }
}

// Lifetimes

TEST_CASE("a worker with a lifetime is asked to leave when it is over, killed after the grace, and has no successor") {
    Options options = permanent_options();
    options.grace = 500ms; // enough to end in on a busy machine
    in_master<App>(options, [](App& app) -> Task<> {
        WorkerOptions mortal;
        mortal.lifetime = 100ms;
        const auto begin = std::chrono::steady_clock::now();
        app.spawn(idle, mortal);
        app.spawn(ignore_everything, mortal);
        const WorkerId lasting = app.spawn(idle);
        const Event first = co_await end_of(app, 1);
        CHECK(std::chrono::steady_clock::now() - begin >= 100ms);
        CHECK(first.status->success());
        CHECK(first.voluntary);
        const Event second = co_await end_of(app, 2);
        CHECK(std::chrono::steady_clock::now() - begin >= 600ms);
        CHECK(second.status->signal() == SIGKILL);
        CHECK(app.workers().size() == 1);
        CHECK(app.workers()[0].id == lasting);
    });
}

} // namespace
