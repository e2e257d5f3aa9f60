// SPDX-License-Identifier: MIT
// Spawn::exec: workers that are programs started anew. Here that is the test program, told by its first argument
// what to be (support/exec_worker.hpp).
#include <cohort/master.hpp>

#include <asio/io_context.hpp>

#include "support/client.hpp"
#include "support/exec_worker.hpp"
#include "support/process.hpp"

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>

using namespace test;

namespace {

template <class A>
Task<int> whole_life(typename A::Worker& self) {
    std::string sockets;
    for (const auto& [fd, target] : open_descriptors())
        if (fd > 2) sockets += target.substr(0, target.find(':')) + " ";
    const bool hidden = std::getenv("COHORT_WORKER") == nullptr;
    const std::string arguments = self.args().empty() ? "none" : self.args().front();
    co_await say(self, hidden ? "hidden" : "visible", self.id());
    co_await say(self, sockets, self.slot());
    co_await say(self, arguments, is_worker());
    auto listener = co_await self.listen(any_port());
    co_await serve(self, listener);
    while (const auto note = co_await self.receive()) co_await self.send(*note);
    co_return 11;
}

/// What the main() of such a program does.
template <class A>
int start_anew() {
    asio::io_context io(1);
    A app(io, plain_options());
    WorkerOptions options;
    options.args = {"of the program"};
    app.spawn(whole_life<A>, options);
    return 120; // never: spawn() is where the worker's life begins
}

struct Other {
    double number = 0;
};
using OtherApp = Master<Other, RoundRobin>;
Task<> say_other(OtherApp::Worker& self) {
    const Other other{1.5};
    co_await self.send(other);
    co_await self.until_stopping();
}
int start_other() {
    asio::io_context io(1);
    OtherApp app(io, plain_options());
    app.spawn(say_other);
    return 120;
}

const ExecWorker round_robin("exec-round-robin", start_anew<App>);
const ExecWorker shared_socket("exec-shared-socket", start_anew<SharedApp>);
const ExecWorker other_worker("exec-other", start_other);

Options exec_options(const char* what) {
    Options options = plain_options();
    options.spawn = Spawn::exec;
    options.worker.program = "/proc/self/exe";
    options.worker.args = {what};
    return options;
}

Task<> never(App::Worker&) { co_return; }

template <class A>
Task<> follow_whole_life(A& app) {
    const WorkerId first = app.spawn(whole_life<A>);
    const WorkerId second = app.spawn(whole_life<A>);
    const std::uint16_t port = co_await served_port(app, 2);
    std::map<WorkerId, std::string> said;
    for (int i = 0; i < 6; ++i) {
        const auto one = co_await mail(app);
        said[one.from] += one.message.text + " " + std::to_string(one.message.number) + ";";
    }
    CHECK(said[first].starts_with("hidden 1;"));
    CHECK(said[second].starts_with("hidden 2;"));
    CHECK(said[second].ends_with("of the program 1;"));
    std::set<WorkerId> served;
    for (int i = 0; i < 200 && served.size() < 2; ++i) {
        const std::string reply = co_await ask(app, port);
        served.insert(who(reply));
    }
    CHECK(served == std::set<WorkerId>{first, second});
    app.kill(first, SIGKILL);
    co_await end_of(app, first);
    for (int i = 0; i < 10; ++i) {
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == second);
    }
    co_await tell(app, second, "to the program");
    app.disconnect(second);
    const auto reply = co_await mail(app);
    CHECK(reply.message.text == "to the program");
    const Event end = co_await end_of(app, second);
    CHECK(end.status->code() == 11);
    CHECK(end.voluntary);
}

TEST_CASE("a program started anew is a worker like any other") {
    SUBCASE("round-robin") { in_master<App>(exec_options("exec-round-robin"), follow_whole_life<App>); }
    SUBCASE("shared socket") { in_master<SharedApp>(exec_options("exec-shared-socket"), follow_whole_life<SharedApp>); }
    SUBCASE("shared socket, opened by the master") {
        Options options = exec_options("exec-shared-socket");
        options.listen = {any_port()};
        in_master<SharedApp>(options, follow_whole_life<SharedApp>);
    }
}

TEST_CASE("a program that does not exist is an exited event with the reason, and code 127") {
    Options options = exec_options("");
    options.worker.program = "/nonexistent/program";
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(never);
        const auto events = co_await all_events(app);
        CHECK(kinds(events) == std::vector{WorkerState::forked, WorkerState::exited});
        CHECK(events.back().error == std::errc::no_such_file_or_directory);
        CHECK(events.back().status->code() == 127);
    });
}

TEST_CASE("a program that is no worker of a cluster simply ends") {
    Options options = exec_options("");
    options.worker.program = "/bin/true";
    options.worker.args = {};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(never);
        const auto events = co_await all_events(app);
        CHECK(kinds(events) == std::vector{WorkerState::forked, WorkerState::exited});
        CHECK(events.back().status->success());
        CHECK_FALSE(events.back().error);
    });
}

TEST_CASE("a program built with other messages is found out and ended") {
    in_master<App>(exec_options("exec-other"), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(never);
        const Event end = co_await end_of(app, worker);
        CHECK(end.error == Errc::schema_mismatch);
        CHECK(end.status->signal() == SIGKILL);
    });
}

/// A thread that always has some lock of the C library's.
class BusyThread {
public:
    BusyThread()
        : thread_([this] {
              while (!done_) delete[] new char[100'000];
          }) {}
    BusyThread(const BusyThread&) = delete;
    BusyThread& operator=(const BusyThread&) = delete;
    ~BusyThread() {
        done_ = true;
        thread_.join();
    }

private:
    std::atomic<bool> done_{false};
    std::thread thread_;
};

TEST_CASE("a master with other threads starts programs") {
    in_master<App>(exec_options("exec-round-robin"), [](App& app) -> Task<> {
        const BusyThread beside;
        co_await follow_whole_life(app);
    });
}

} // namespace
