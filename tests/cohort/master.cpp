// SPDX-License-Identifier: MIT
// The lives of workers as the master sees them: ids, slots, states, events, ends, successors.
#include <cohort/master.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <fstream>
#include <future>
#include <optional>
#include <system_error>
#include <thread>

using namespace test;

namespace {

using enum WorkerState;

int prepared = 0; // before the fork, as a program does with what it loads

Task<> leave_at_once(App::Worker&) { co_return; }
Task<int> exit_42(App::Worker&) { co_return 42; }
Task<> crash(App::Worker&) {
    std::abort();
    co_return;
}
Task<> say_prepared(App::Worker& self) { co_await say(self, "prepared", prepared); }
Task<> say_place(App::Worker& self) {
    co_await say(self, std::to_string(self.id()), self.slot());
    co_await self.until_stopping();
}

/// The events of a cluster with one worker.
template <class Body>
std::vector<Event> life_of(Body body, Options options = plain_options()) {
    static Body the_body = body; // one for each type, so for each function below
    the_body = body;
    static std::vector<Event> events;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(the_body);
        events = co_await all_events(app);
    });
    return std::move(events);
}

TEST_CASE("a worker that returns was forked, came online and has exited, once each") {
    const auto events = life_of(leave_at_once);
    REQUIRE(kinds(events) == std::vector{forked, online, exited});
    for (const auto& event : events) {
        CHECK(event.worker == 1);
        CHECK(event.slot == 0);
        CHECK(event.pid == events[0].pid);
        CHECK_FALSE(event.endpoint);
    }
    CHECK(events[0].pid > 0);
    CHECK(::kill(events[0].pid, 0) == -1); // reaped
    CHECK(events[2].status == ExitStatus::exited(0));
    CHECK_FALSE(events[2].voluntary);
    CHECK_FALSE(events[2].error);
}

TEST_CASE("a worker that listens and is asked to leave passes through all states in order") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(server);
        const Event listens = co_await next(app, listening);
        CHECK(listens.endpoint->host() == "127.0.0.1");
        CHECK(listens.endpoint->port() != 0);
        CHECK(app.workers().at(0).state == listening);
        app.disconnect(worker);
        const auto rest = co_await all_events(app);
        CHECK(kinds(rest) == std::vector{draining, exited});
        CHECK(rest.back().voluntary);
        CHECK(rest.back().status->success());
    });
}

TEST_CASE("the code that a body returns is its process's exit code") {
    const auto status = life_of(exit_42).back().status;
    CHECK(status->code() == 42);
    CHECK_FALSE(status->signal());
}

TEST_CASE("a crash is a signal, not a code, and not voluntary") {
    const auto event = life_of(crash).back();
    CHECK_FALSE(event.status->code());
    CHECK(event.status->signal() == SIGABRT);
    CHECK_FALSE(event.voluntary);
}

TEST_CASE("what the program prepared before the fork is there in the worker") {
    prepared = 4711;
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(say_prepared);
        const auto said = co_await mail(app);
        CHECK(said.message.number == 4711);
    });
}

TEST_CASE("ids grow and are never used again, the lowest free slot is") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (WorkerId id = 1; id <= 3; ++id) CHECK(app.spawn(say_place) == id);
        app.kill(2);
        co_await end_of(app, 2);
        CHECK(app.spawn(say_place) == 4);
        CHECK(app.spawn(say_place) == 5);
        std::map<std::string, std::int64_t> slots; // as the workers themselves know it
        while (slots.size() < 4 || !slots.contains("5")) {
            const auto said = co_await mail(app);
            slots[said.message.text] = said.message.number;
            if (slots.contains("2")) slots.erase("2");
        }
        CHECK(slots == std::map<std::string, std::int64_t>{{"1", 0}, {"3", 2}, {"4", 1}, {"5", 3}});
    });
}

TEST_CASE("the master lists its living workers with state and process") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(say_place);
        app.spawn(say_place);
        CHECK(app.workers().size() == 2);
        CHECK(app.workers()[0].state <= online);
        co_await next(app, online);
        co_await next(app, online);
        const auto workers = app.workers();
        CHECK(workers[0].id == 1);
        CHECK(workers[1].id == 2);
        CHECK(workers[1].slot == 1);
        CHECK(workers[1].state == online);
        CHECK(::kill(workers[1].pid, 0) == 0);
        app.kill(1);
        co_await end_of(app, 1);
        REQUIRE(app.workers().size() == 1);
        CHECK(app.workers()[0].id == 2);
        CHECK(::kill(workers[0].pid, 0) == -1);
    });
}

TEST_CASE("a worker in a busy loop can be killed, and one that is only asked to end has the grace period") {
    for (const auto& [signal, grace] :
         {std::pair{SIGKILL, 20'000ms}, {SIGTERM, 50ms}, {SIGINT, 50ms}, {SIGQUIT, 50ms}}) {
        CAPTURE(signal);
        in_master<App>(permanent_options(grace), [signal = signal](App& app) -> Task<> {
            const WorkerId worker = app.spawn(spin<App::Worker>);
            co_await mail(app);
            app.kill(worker, signal);
            app.kill(worker, signal); // the time does not begin anew
            const Event end = co_await end_of(app, worker);
            CHECK(end.status->signal() == SIGKILL);
            CHECK(end.voluntary);
            CHECK(app.workers().empty());
        });
    }
}

TEST_CASE("SIGKILL from the master is voluntary, from somebody else it is a crash") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId first = app.spawn(idle);
        const WorkerId second = app.spawn(idle);
        app.kill(first, SIGKILL);
        const Event asked = co_await end_of(app, first);
        CHECK(asked.status->signal() == SIGKILL);
        CHECK(asked.voluntary);
        ::kill(app.workers().at(0).pid, SIGKILL);
        const Event crashed = co_await end_of(app, second);
        CHECK(crashed.status->describe() == "killed by SIGKILL");
        CHECK_FALSE(crashed.voluntary);
    });
}

TEST_CASE("signal 0 only asks, and nobody can be signalled who has gone") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(idle);
        CHECK_NOTHROW(app.kill(worker, 0));
        CHECK_THROWS_AS(app.kill(worker, 4711), std::system_error);
        app.kill(worker);
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->code() == 0);
        CHECK_THROWS_WITH_AS(app.kill(worker), doctest::Contains("no living worker"), std::system_error);
        CHECK_THROWS_AS(app.kill(99), std::system_error);
        CHECK_THROWS_AS(app.disconnect(worker), std::system_error);
    });
}

TEST_CASE("a permanent worker has a successor in its slot, however it ended") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        app.spawn(exit_42);
        const Event end = co_await next(app, exited);
        CHECK(end.worker == 2);
        const Event successor = co_await next(app, forked);
        CHECK(successor.worker == 3);
        CHECK(successor.slot == 1);
    });
}

template <class W>
Task<> answer_once(W& self) {
    auto listener = co_await self.listen(any_port());
    auto socket = co_await listener.accept();
    if (socket) co_await answer(self, std::move(*socket));
}

TEST_CASE_TEMPLATE("a worker that returns leaves its port to its successor", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(answer_once<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        for (WorkerId worker = 1; worker <= 6; ++worker) {
            const std::string reply = co_await ask(app, port);
            CHECK(who(reply) == worker);
        }
    });
}

TEST_CASE("a transient worker has a successor only when it crashed") {
    Options options = plain_options();
    options.restart = Restart::transient;
    CHECK(kinds(life_of(leave_at_once, options)) == std::vector{forked, online, exited});
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(crash);
        co_await next(app, exited);
        const Event successor = co_await next(app, forked);
        CHECK(successor.worker == 2);
        CHECK(successor.slot == 0);
    });
}

TEST_CASE("a temporary worker has no successor, and the slot is free for another") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(crash);
        co_await end_of(app, worker);
        const auto none = co_await app.next_event();
        CHECK_FALSE(none);
        app.spawn(leave_at_once);
        const auto event = co_await app.next_event();
        REQUIRE(event);
        CHECK(event->slot == 0);
    });
}

TEST_CASE("a worker that was asked to leave has no successor") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.disconnect(app.spawn(idle));
        app.kill(app.spawn(idle));
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), forked) == 2);
        CHECK_FALSE(app.has_given_up());
    });
}

TEST_CASE("a slot whose workers keep dying young is given up") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.backoff.first = 1ms;
    options.backoff.longest = 1ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(exit_42);
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), exited) == 16);
        CHECK(events.back().worker == 16);
        CHECK(events.back().slot == 0);
        CHECK(app.has_given_up());
    });
}

TEST_CASE("a slot whose workers keep failing is tried later and later, and another slot is not touched") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.backoff = {.at_once = 0, .first = 20ms, .longest = 80ms, .jitter = 0, .failed_starts = 5};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        app.spawn(exit_42);
        const auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < 5; ++i) co_await next(app, exited);
        CHECK(std::chrono::steady_clock::now() - begin >= 20ms + 40ms + 80ms + 80ms);
        CHECK(app.has_given_up());
        REQUIRE(app.workers().size() == 1);
        CHECK(app.workers()[0].id == 1);
    });
}

TEST_CASE("more restarts than allowed in a period, and the slot is given up") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.backoff.restarts = 2;
    options.backoff.period = 60s;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(leave_at_once);
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), exited) == 3);
        CHECK(app.has_given_up());
    });
}

TEST_CASE("a master with a second thread refuses to fork, and can when it has ended") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        static std::promise<void> done;
        std::thread other([] { done.get_future().wait_for(limit); });
        std::error_code error;
        try {
            app.spawn(leave_at_once);
        } catch (const std::system_error& failure) {
            error = failure.code();
        }
        done.set_value();
        other.join();
        CHECK(error == Errc::multithreaded);
        CHECK(app.workers().empty());
        CHECK_NOTHROW(app.spawn(leave_at_once));
        const auto events = co_await all_events(app);
        CHECK(events.size() == 3);
    });
}

TEST_CASE("a master that is destroyed leaves no worker behind") {
    static pid_t pid = 0;
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(idle);
        co_await next(app, online);
        pid = app.workers().at(0).pid;
    });
    CHECK(::kill(pid, 0) == -1);
}

/// What somebody waits for who does not own the master.
Task<> note_error(Task<> wait, std::error_code& error) {
    try {
        co_await std::move(wait);
    } catch (const std::system_error& failure) {
        error = failure.code();
    }
}
Task<> next_of(App& app) {
    for (bool more = true; more;) {
        const auto event = co_await app.next_event();
        more = event.has_value();
    }
}
Task<> receive_from(App& app) { const auto letter = co_await app.receive(); }

struct Wait {
    const char* what;
    Task<> (*begin)(App&);
};
const Wait waits[] = {
    {"events", next_of},
    {"messages", receive_from},
    {"its end", [](App& app) -> Task<> { return app.until_finished(); }},
    {"the end of stop()", [](App& app) -> Task<> { return app.stop(); }},
};

TEST_CASE("who waits for something of a master that is destroyed is told so") {
    for (const Wait& wait : waits) {
        CAPTURE(wait.what);
        asio::io_context io(1);
        std::optional<App> app(std::in_place, io, plain_options());
        app->spawn(hang);
        std::error_code error;
        spawn(io, note_error(wait.begin(*app), error));
        io.poll();
        REQUIRE_FALSE(error);
        app.reset();
        io.restart();
        io.run_for(limit);
        CHECK(error == Errc::closed);
    }
}

Task<> destroy_at_the_end(std::optional<App>& app) {
    co_await app->until_finished();
    app.reset();
}

TEST_CASE("a master may be destroyed as soon as the last worker has ended, whoever else has been woken by that") {
    for (const Wait& wait : waits) {
        CAPTURE(wait.what);
        asio::io_context io(1);
        std::optional<App> app(std::in_place, io, plain_options());
        app->spawn(idle);
        spawn(io, destroy_at_the_end(app));
        std::error_code error;
        spawn(io, note_error(wait.begin(*app), error));
        io.poll();
        app->disconnect(1);
        io.restart();
        io.run_for(limit);
        CHECK_FALSE(app);
        CHECK((!error || error == Errc::closed));
    }
}

/// Says that it is ready only when it is told to.
Task<> ready_when_told(App::Worker& self) {
    const auto word = co_await self.receive();
    if (word) self.ready();
    co_await self.until_stopping();
}

Task<> reload_into(App& app, std::optional<ReloadReport>& report) { report = co_await app.reload(); }
Options announcing_options() {
    Options options = plain_options();
    options.readiness = Readiness::announced;
    return options;
}

TEST_CASE("a reload of a master that is destroyed ends, as do those that wait for it") {
    asio::io_context io(1);
    std::optional<App> app(std::in_place, io, announcing_options());
    app->spawn(ready_when_told);
    std::optional<ReloadReport> reports[3];
    for (auto& report : reports) spawn(io, reload_into(*app, report));
    io.poll();
    CHECK(app->workers().size() == 2); // the successor is never ready
    app.reset();
    io.restart();
    io.run_for(limit);
    for (const auto& report : reports) {
        REQUIRE(report);
        CHECK(report->error == Errc::stopping);
    }
}

/// Whoever is told first destroys it.
Task<> destroy_at_exit_of(std::optional<App>& app, WorkerId worker) {
    co_await end_of(*app, worker);
    app.reset();
}

TEST_CASE("a master may be destroyed by whoever hears first of what a reload waits for") {
    asio::io_context io(1);
    std::optional<App> app(std::in_place, io, announcing_options());
    app->spawn(ready_when_told);
    spawn(io, destroy_at_exit_of(app, 2));
    std::optional<ReloadReport> report;
    spawn(io, reload_into(*app, report));
    io.poll();
    REQUIRE(app->workers().size() == 2);
    app->kill(2, SIGKILL);
    io.restart();
    io.run_for(limit);
    CHECK_FALSE(app);
    REQUIRE(report);
    CHECK(report->error);
}

/// Resident memory in kilobytes.
long memory() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0;
}

Task<> fork_and_forget(App& app, int times) {
    for (int i = 0; i < times; ++i) {
        const WorkerId worker = app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == worker);
        app.disconnect(worker);
        co_await end_of(app, worker);
    }
}

#if defined(COHORT_SANITIZED) // a fork takes many times as long
constexpr int many_workers = 50;
#else
constexpr int many_workers = 200;
#endif

TEST_CASE("many workers later there are no more descriptors, zombies or memory than before") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        co_await fork_and_forget(app, 20);
        const auto descriptors = open_descriptors();
        [[maybe_unused]] const long before = memory();
        co_await fork_and_forget(app, many_workers);
        CHECK(open_descriptors() == descriptors);
#if !defined(COHORT_SANITIZED) // it keeps freed memory for a while
        CHECK(memory() - before < 2'000);
#endif
        siginfo_t info{};
        CHECK(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1);
    });
}

} // namespace
