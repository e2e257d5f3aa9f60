// SPDX-License-Identifier: MIT
// Signals that somebody sends to a worker, below a master that obeys none itself.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/exec_worker.hpp"
#include "support/folder.hpp"
#include "support/process.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <asio/io_context.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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

/// A named pipe that a program reads to its end before it goes on.
constexpr const char* gate_variable = "COHORT_TEST_GATE";

int start_late() {
    std::string line;
    std::ifstream gate(std::getenv(gate_variable));
    std::getline(gate, line);
    return start_leaver();
}
const ExecWorker late_leaver("exec-late-leaver", start_late);

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

/// Signals a worker while its program is at the gate.
template <int Signal>
Task<> signal_early(App& app) {
    const WorkerId worker = app.spawn(leave_with_7);
    const std::string& path = app.options().worker.env.at(gate_variable);
    int gate = -1;
    REQUIRE(eventually([&] { return (gate = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0; }));
    ::kill(app.workers().at(0).pid, Signal);
    ::close(gate);
    if (Signal == SIGHUP || Signal == SIGUSR1 || Signal == SIGUSR2) {
        co_await mail(app);
        app.disconnect(worker);
    }
    const Event end = co_await end_of(app, worker);
    CHECK(end.status->code() == 7);
    CHECK(end.voluntary);
}

TEST_CASE("a signal that comes before an executed program is a worker means what it means afterwards") {
    const Folder folder;
    Options options = with(Restart::temporary, Spawn::exec);
    options.worker.env[gate_variable] = folder / "gate";
    REQUIRE(::mkfifo(options.worker.env[gate_variable].c_str(), 0600) == 0);
    SUBCASE("in its main()") { options.worker.args = {"exec-late-leaver"}; }
    SUBCASE("before it is loaded") { // here by another one, which has no handlers either
        options.worker.program = "/bin/sh";
        options.worker.args = {"-c", R"(read line < "$COHORT_TEST_GATE"; exec "$0" exec-leaver)",
                               std::filesystem::read_symlink("/proc/self/exe")};
    }
    in_master<App>(options, signal_early<SIGHUP>);
    in_master<App>(options, signal_early<SIGUSR1>);
    in_master<App>(options, signal_early<SIGUSR2>);
    in_master<App>(options, signal_early<SIGTERM>);
    in_master<App>(options, signal_early<SIGINT>);
    in_master<App>(options, signal_early<SIGQUIT>);
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
