// SPDX-License-Identifier: MIT
// Signals that somebody sends to a worker, below a master that obeys none itself.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/exec_worker.hpp"

#include <csignal>

#include <asio/io_context.hpp>

using namespace test;

namespace {

using enum WorkerState;

Task<int> leave_with_7(App::Worker& self) {
    co_await say(self, "ready");
    co_await self.until_stopping();
    co_return 7;
}

int start_leaver() {
    asio::io_context io(1);
    App app(io, plain_options());
    app.spawn(leave_with_7);
    return 120;
}
const ExecWorker leaver("exec-leaver", start_leaver);

Options with(Restart restart, Spawn spawn) {
    Options options = plain_options();
    options.restart = restart;
    options.spawn = spawn;
    options.worker.program = "/proc/self/exe";
    if (spawn == Spawn::exec) options.worker.args = {"exec-leaver"};
    return options;
}

/// What happened until the first worker ended.
Task<std::vector<Event>> until_first_end(App& app) {
    std::vector<Event> events;
    while (events.empty() || events.back().kind != exited) {
        auto event = co_await app.next_event();
        events.push_back(*event);
    }
    co_return events;
}

template <int Signal>
Task<> signal_a_worker(App& app) {
    const WorkerId worker = app.spawn(leave_with_7);
    co_await mail(app);
    ::kill(app.workers().at(0).pid, Signal);
    const auto events = co_await until_first_end(app);
    const Event& end = events.back();
    CHECK(end.worker == worker);
    CHECK(end.status->code() == 7);
    CHECK(end.voluntary);
    const auto is_successor = [&](const Event& event) { return event.kind == forked && event.worker != worker; };
    const auto successor = std::ranges::find_if(events, is_successor);
    const auto leaving = std::ranges::find(events, draining, &Event::kind);
    if (app.options().restart == Restart::temporary) {
        CHECK(successor == events.end());
        CHECK(app.workers().empty());
    } else {
        CHECK(successor < leaving);
        CHECK(app.workers().size() == 1);
    }
}

TEST_CASE("a worker that gets SIGTERM, SIGINT or SIGQUIT leaves once its successor is there, if it is to have one") {
    for (const Spawn spawn : {Spawn::fork, Spawn::exec}) {
        for (const Restart restart : {Restart::permanent, Restart::transient, Restart::temporary}) {
            CAPTURE(static_cast<int>(spawn));
            CAPTURE(static_cast<int>(restart));
            in_master<App>(with(restart, spawn), signal_a_worker<SIGTERM>);
            in_master<App>(with(restart, spawn), signal_a_worker<SIGINT>);
            in_master<App>(with(restart, spawn), signal_a_worker<SIGQUIT>);
        }
    }
}

TEST_CASE("SIGHUP, SIGUSR1 and SIGUSR2 do nothing in a worker, and programs that it executes know nothing of it") {
    in_master<App>(with(Restart::permanent, Spawn::fork), [](App& app) -> Task<> {
        app.spawn([](App::Worker& self) -> Task<> {
            co_await say(self, "ready");
            const auto go_on = co_await self.receive();
            const int status = std::system("kill -HUP $$");
            co_await say(self, "program", status);
        });
        co_await mail(app);
        const WorkerInfo worker = app.workers().at(0);
        for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU}) ::kill(worker.pid, signal);
        co_await tell(app, worker.id, "go on");
        const auto said = co_await mail(app);
        CHECK(said.from == worker.id);
        CHECK(said.message.number == SIGHUP);
        app.kill_all();
    });
}

} // namespace
