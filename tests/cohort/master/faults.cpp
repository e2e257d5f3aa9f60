// SPDX-License-Identifier: MIT
// A master that is killed or stopped at a bad moment, and workers that end when nobody expects it.
#include <cohort/run.hpp>

#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include "support/client.hpp"
#include "support/exec_worker.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace test;

namespace {

using enum WorkerState;
using Clock = std::chrono::steady_clock;

void print_note(const std::string& line) {
    const std::string text = line + "\n";
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

// kill -9

/// Waits for all processes that are left to this one; how many are still there when the time is over. Those are killed.
int reap_all(std::chrono::milliseconds time) {
    const auto end = Clock::now() + time;
    siginfo_t info{};
    while (Clock::now() < end) {
        info.si_pid = 0;
        if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0) return 0;
        if (info.si_pid == 0) std::this_thread::sleep_for(1ms);
    }
    int left = 0;
    std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    for (pid_t pid = 0; children >> pid; ++left) ::kill(pid, SIGKILL);
    return left;
}

/// Kills a master `delay` after it has said that it is time to. Whoever it leaves belongs to this process.
int kill_a_master(int (*master)(), std::chrono::milliseconds delay, std::chrono::milliseconds patience) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    Helper cluster(master);
    print_note("port " + cluster.after("time "));
    std::this_thread::sleep_for(delay);
    cluster.signal(SIGKILL);
    cluster.wait();
    print_note("killed");
    print_note("left " + std::to_string(reap_all(patience)));
    return 0;
}

#if defined(COHORT_SANITIZED) // a program that is started anew takes a second until it knows that its master is gone
constexpr auto longer = 5s;
#else
constexpr auto longer = 1s;
#endif

/// How many processes there are when its grace and that are over, and at the latest after that.
int left_by(int (*master)(), std::chrono::milliseconds delay, std::chrono::milliseconds grace) {
    Helper guardian([=] { return kill_a_master(master, delay, grace + longer); });
    return guardian.number_after("left ");
}

constexpr auto short_grace = 500ms;

/// Two that serve, one that is stuck, and one that does not care.
int rest() {
    in_master<App>(permanent_options(short_grace), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 2);
        app.spawn(spin<App::Worker>);
        co_await mail(app);
        print_note("time " + std::to_string(port));
        co_await app.until_finished();
    });
    return 0;
}

/// The successor never listens.
template <class W>
Task<> listen_once(W& self) {
    if (self.id() > 2) co_await self.until_stopping();
    co_await server(self);
}

template <class A>
Task<> reload_when_listening(A& app) {
    const std::uint16_t port = co_await served_port(app, 2);
    spawn(app.context(), drop_result(app.reload()));
    co_await next(app, forked);
    print_note("time " + std::to_string(port));
    co_await app.until_finished();
}

template <class A>
int reload_for_ever() {
    in_master<A>(permanent_options(short_grace), [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(listen_once<typename A::Worker>);
        co_await reload_when_listening(app);
    });
    return 0;
}

int start_anew() {
    asio::io_context io(1);
    App app(io, plain_options());
    app.spawn(server);
    return 120; // never
}
const ExecWorker anew("exec-master-faults", start_anew);

/// The same with programs that are started anew: the successor needs a while until it knows that it is one.
int reload_programs() {
    Options options = permanent_options(short_grace);
    options.spawn = Spawn::exec;
    options.worker.program = "/proc/self/exe";
    options.worker.args = {"exec-master-faults"};
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(server);
        co_await reload_when_listening(app);
    });
    return 0;
}

Task<> leave_at_once(App::Worker&) { co_return; }

/// Forks as fast as it can.
int fork_without_end() {
    Options options = permanent_options(short_grace);
    options.backoff.at_once = 1'000'000;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        for (int i = 0; i < 4; ++i) app.spawn(leave_at_once);
        for (int i = 0; i < 20; ++i) co_await next(app, forked);
        print_note("time " + std::to_string(port));
        co_await app.until_finished();
    });
    return 0;
}

TEST_CASE("a master that is killed leaves nobody") {
    int (*master)() = rest;
    SUBCASE("at rest, with a worker that is stuck") {}
    SUBCASE("in the middle of a reload, round-robin") { master = reload_for_ever<App>; }
    SUBCASE("in the middle of a reload, shared socket") { master = reload_for_ever<SharedApp>; }
    SUBCASE("in the middle of a reload of programs started anew") { master = reload_programs; }
    SUBCASE("while it forks") { master = fork_without_end; }
    for (const auto delay : {0ms, 1ms, 5ms, 30ms}) {
        CAPTURE(delay.count());
        CHECK(left_by(master, delay, short_grace) == 0);
    }
}

/// Greets, and answers one line.
template <class W>
Task<> greet_and_answer(W& self, Socket socket) {
    const std::string greeting = "welcome\n";
    std::error_code error;
    co_await asio::async_write(socket, asio::buffer(greeting), asio::redirect_error(asio::use_awaitable, error));
    co_await answer(self, std::move(socket));
}
template <class W>
Task<> greeter(W& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) co_await greet_and_answer(self, std::move(*socket));
}
template <class A>
int serve_one_at_a_time() {
    in_master<A>(permanent_options(), [](A& app) -> Task<> {
        app.spawn(greeter<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        print_note("time " + std::to_string(port));
        co_await app.until_finished();
    });
    return 0;
}

TEST_CASE_TEMPLATE("what is in flight when the master is killed is finished, and nothing new is begun", A, App,
                   SharedApp) {
    Helper guardian([] { return kill_a_master(serve_one_at_a_time<A>, 300ms, 20s); });
    const auto port = static_cast<std::uint16_t>(guardian.number_after("port "));
    asio::io_context io(1);
    Client client(io, port);
    std::string greeting;
    spawn(io, [](Client& it, std::string& into) -> Task<> { into = co_await it.read_line(); }(client, greeting));
    io.run_for(limit);
    CHECK(greeting == "welcome");
    guardian.after("killed");
    const auto refused = [&] {
        asio::io_context other(1);
        try {
            Client late(other, port);
        } catch (const std::system_error& error) {
            return error.code() == std::errc::connection_refused;
        }
        return false;
    };
    const auto deadline = Clock::now() + limit;
    while (!refused() && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
    io.restart();
    std::string reply;
    spawn(io, [](Client& it, std::string& into) -> Task<> { into = co_await it.ask("in flight"); }(client, reply));
    io.run_for(limit);
    CHECK(reply == "1 in flight");
    CHECK(guardian.number_after("left ") == 0);
}

// SIGSTOP

template <class A>
Task<> tell_ends(A& app) {
    const std::uint16_t port = co_await served_port(app, 2);
    print_note("port " + std::to_string(port));
    while (const auto event = co_await app.next_event())
        if (event->kind == exited)
            print_note("worker " + std::to_string(event->worker) + " " + event->status->describe() +
                       (event->error ? " " + event->error.message() : ""));
}

template <class A>
int watchful() {
    Options options = permanent_options();
    options.workers = 2;
    options.liveness = {.interval = 20ms, .slow_after = 100ms, .timeout = 400ms, .kill_after = 100ms};
    return run<A>(options, tell_ends<A>, server);
}

/// Whoever answers there.
std::string ask_now(std::uint16_t port) {
    asio::io_context io(1);
    std::string reply = "no answer";
    spawn(io, [](asio::io_context& it, std::uint16_t where, std::string& into) -> Task<> {
        Client client(it, where);
        into = co_await client.ask("hello");
    }(io, port, reply));
    io.run_for(limit);
    return reply;
}

/// Two workers have ended with code 0, when they were asked to.
void expect_a_quiet_end(Helper& master) {
    master.signal(SIGTERM);
    std::set<std::string> ends{master.after("worker "), master.after("worker ")};
    CHECK(ends == std::set<std::string>{"1 exited with code 0", "2 exited with code 0"});
    CHECK(master.wait().code() == 0);
    CHECK(master.rest().empty());
}

TEST_CASE("workers with sockets of their own serve while their master is stopped, and nobody is blamed afterwards") {
    Helper master(watchful<SharedApp>);
    const auto port = static_cast<std::uint16_t>(master.number_after("port "));
    for (int i = 0; i < 2; ++i) {
        master.signal(SIGSTOP);
        const auto end = Clock::now() + 600ms; // longer than a worker may be silent
        int served = 0;
        for (; Clock::now() < end; ++served) CHECK(who(ask_now(port)) != 0);
        CHECK(served > 10);
        master.signal(SIGCONT);
        for (int k = 0; k < 20; ++k) CHECK(who(ask_now(port)) != 0);
    }
    std::this_thread::sleep_for(600ms); // if it were to blame anybody it would have
    expect_a_quiet_end(master);
}

TEST_CASE("connections wait for a master that is stopped, and nobody is blamed afterwards") {
    Helper master(watchful<App>);
    const auto port = static_cast<std::uint16_t>(master.number_after("port "));
    master.signal(SIGSTOP);
    asio::io_context io(1);
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i) {
        clients.emplace_back(io, port);
        clients.back().write("hello\n");
    }
    std::this_thread::sleep_for(600ms);
    master.signal(SIGCONT);
    std::map<WorkerId, int> served;
    spawn(io, [](std::vector<Client>& all, std::map<WorkerId, int>& into) -> Task<> {
        into = co_await answers(all);
    }(clients, served));
    io.run_for(limit);
    CHECK(served[0] == 0);
    CHECK(served[1] + served[2] == 10);
    std::this_thread::sleep_for(600ms);
    expect_a_quiet_end(master);
}

// Workers

/// Leaves only when it is killed.
Task<> stay(App::Worker& self) {
    co_await self.until_stopping();
    for (;;) co_await pause(self.context(), 1h);
}

TEST_CASE("a worker that is killed while it leaves has no successor") {
    in_master<App>(permanent_options(), [](App& app) -> Task<> {
        app.spawn(stay);
        app.spawn(stay);
        for (int i = 0; i < 2; ++i) co_await next(app, online);
        app.disconnect(1);
        ::kill(app.workers().at(0).pid, SIGTRAP); // for which no sanitizer has a handler
        Event end = co_await end_of(app, 1);
        CHECK(end.voluntary);
        CHECK(end.status == ExitStatus::signaled(SIGTRAP));
        // One that was replaced has one already.
        const auto report = co_await app.reload();
        CHECK(report);
        ::kill(app.workers().at(0).pid, SIGKILL);
        end = co_await end_of(app, 2);
        CHECK(end.voluntary);
        app.spawn(stay);
        co_await next(app, online);
        CHECK(app.workers().size() == 2); // nobody has come before it
        CHECK(app.workers().at(0).id == 3);
        CHECK(app.workers().at(1).id == 4);
        app.kill_all();
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), forked) == 0);
    });
}

TEST_CASE("a worker that ends with code 0 unasked has a successor, and one after that") {
    Options options = permanent_options();
    options.backoff.at_once = 10;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(leave_at_once);
        for (WorkerId worker = 1; worker <= 5; ++worker) {
            const Event end = co_await end_of(app, worker);
            CHECK(end.status->success());
            CHECK_FALSE(end.voluntary);
        }
        co_await app.stop();
    });
}

Task<int> fail(App::Worker&) { co_return 1; }

TEST_CASE("when all slots were given up nobody comes, the master goes on and can start others") {
    Options options = permanent_options();
    options.backoff = {.first = 1ms, .longest = 1ms, .failed_starts = 4};
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(fail);
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), exited) == 3 * 4);
        CHECK(app.has_given_up());
        CHECK(app.workers().empty());
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == 13);
        co_await app.stop();
    });
}

// A client that goes

template <class W>
Task<> write_without_end(W& self, Socket socket) {
    const std::string block(1 << 20, 'x');
    std::error_code error;
    while (!error)
        co_await asio::async_write(socket, asio::buffer(block), asio::redirect_error(asio::use_awaitable, error));
    co_await say(self, error == std::errc::broken_pipe ? "EPIPE" : "other");
}
template <class W>
Task<> fountain(W& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) co_await write_without_end(self, std::move(*socket));
}

TEST_CASE("a client that goes in the middle of its answer ends its connection and nothing else") {
    Helper master([] {
        ::signal(SIGPIPE, SIG_DFL);
        in_master<App>(permanent_options(), [](App& app) -> Task<> {
            app.spawn(fountain<App::Worker>);
            const std::uint16_t port = co_await served_port(app);
            for (int i = 0; i < 10; ++i) {
                std::string some;
                {
                    Client client(app.context(), port);
                    co_await client.read_exactly(some, 1000);
                }
                co_await mail(app);
            }
            print_note("workers " + std::to_string(app.workers().at(0).id));
            app.kill_all();
            co_await app.until_finished();
        });
        return 0;
    });
    CHECK(master.number_after("workers ") == 1);
    CHECK(master.wait().code() == 0);
}

} // namespace
