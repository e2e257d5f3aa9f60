// SPDX-License-Identifier: MIT
// run(): signals, exit codes, and workers that do not outlive their master. Each cluster has a helper process as
// master.
#include <cohort/run.hpp>

#include <cohort/scope.hpp>

#include <cohort/detail/async/spawn.hpp>
#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/cancellation_state.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <csignal>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include <sched.h>
#include <unistd.h>

using namespace test;

namespace {

/// Written in one piece, so that workers do not mix their lines.
void print_whole_line(const std::string& line) {
    const std::string text = line + "\n";
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

Task<> watch_nothing(App&) { co_return; }
Task<> announce(App& app) {
    while (const auto event = co_await app.next_event()) {
        const std::string status = event->status ? " " + event->status->describe() : "";
        print_whole_line(std::string(to_string(event->kind)) + " " + std::to_string(event->pid) + status);
    }
}

Options run_options(unsigned workers) {
    Options options = plain_options();
    options.workers = workers;
    return options;
}

Task<> say_pid(App::Worker& self) {
    print_whole_line("pid " + std::to_string(self.pid()));
    co_return;
}
Task<int> fail_3(App::Worker&) { co_return 3; }

TEST_CASE("run() starts so many workers and returns 0 when they have ended") {
    Helper helper([] { return run<App>(run_options(3), say_pid); });
    std::set<std::string> pids;
    for (int i = 0; i < 3; ++i) pids.insert(helper.after("pid "));
    CHECK(pids.size() == 3);
    CHECK(helper.wait().code() == 0);
    CHECK(helper.rest().empty());
}

TEST_CASE("0 workers means one for each CPU that the process may use") {
    cpu_set_t usable;
    REQUIRE(::sched_getaffinity(0, sizeof usable, &usable) == 0);
    const auto count_workers = [] {
        return [](App& app) -> Task<> {
            print_whole_line("workers " + std::to_string(app.workers().size()));
            co_return;
        };
    };
    Helper all([&] { return run<App>(run_options(0), count_workers(), say_pid); });
    CHECK(all.number_after("workers ") == CPU_COUNT(&usable));
    Helper one([&] {
        cpu_set_t first;
        CPU_ZERO(&first);
        for (std::size_t cpu = 0; CPU_COUNT(&first) == 0; ++cpu)
            if (CPU_ISSET(cpu, &usable)) CPU_SET(cpu, &first);
        ::sched_setaffinity(0, sizeof first, &first);
        return run<App>(run_options(0), count_workers(), say_pid);
    });
    CHECK(one.number_after("workers ") == 1);
}

TEST_CASE("run() returns 1 when a slot was given up") {
    Helper helper([] {
        Options options = run_options(1);
        options.restart = Restart::permanent;
        options.backoff.first = options.backoff.longest = 1ms;
        return run<App>(options, fail_3);
    });
    CHECK(helper.wait().code() == 1);
}

TEST_CASE("run() returns 1 and says why when an endpoint is in use") {
    std::error_code error;
    const auto taken = detail::open_listener(any_port(), false, 1, error);
    const Endpoint endpoint = detail::local_endpoint(taken.get());
    Helper helper([&] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        Options options = run_options(1);
        options.listen = {endpoint};
        return run<App>(options, say_pid);
    });
    CHECK(helper.rest().find("cohort: listen on " + endpoint.to_string() + ": Address already in use") == 0);
    CHECK(helper.wait().code() == 1);
}

Task<> throw_when_online(App& app) {
    co_await next(app, WorkerState::online);
    throw std::runtime_error("watch failed");
}

TEST_CASE("when the master's function throws the workers end and run() returns 1") {
    Helper helper([] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        return run<App>(run_options(2), throw_when_online, idle);
    });
    CHECK(helper.after("cohort: master: ") == "watch failed");
    CHECK(helper.wait().code() == 1);
    CHECK(helper.rest() == ""); // nobody holds the pipe any more
}

Task<> tick_for_ever(App& app) {
    print_whole_line("watching");
    for (;;) co_await pause(app.context(), 5ms);
}

Task<> tick_whatever_is_said(App& app) {
    print_whole_line("watching");
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    for (;;) co_await pause(app.context(), 5ms);
}

Task<> publish_once(App& app) {
    const Note note{"tick"};
    co_await app.publish("topic", note);
    print_whole_line("watching");
    while (const auto mail = co_await app.receive()) {
    }
}

Task<> leave_a_loop(App& app) {
    detail::spawn(app.context().get_executor(), tick_for_ever(app));
    co_return;
}

Task<> keep_a_group(App& app) { co_await with_workers(app, 1, idle, tick_whatever_is_said); }

/// Its mail, which waits for a reply, and its subscription are still there when the master is not.
Task<> keep_all(App& app) {
    auto topic = co_await app.subscribe<Note>("topic");
    const auto mail = co_await app.receive();
    co_await tick_whatever_is_said(app);
}

Task<> ask_once(App::Worker& self) {
    const Note note{"question"};
    co_await either(drop_result(self.call(note)), self.until_stopping());
}

Task<> throw_at_the_end(App& app) {
    print_whole_line("watching");
    while (const auto mail = co_await app.receive()) {
    }
    throw std::runtime_error("failed at the end");
}

TEST_CASE("the end of run() does not depend on what is left running in the master") {
    const std::pair<Task<> (*)(App&), int> programs[] = {
        {tick_for_ever, 0}, {tick_whatever_is_said, 0}, {publish_once, 0}, {leave_a_loop, 0}, {keep_a_group, 0},
        {keep_all, 0},      {throw_at_the_end, 1},
    };
    for (const int signals : {1, 2}) {
        std::vector<std::unique_ptr<Helper>> helpers; // side by side, as most of them need their last moments
        for (const auto& [watch, code] : programs) {
            const auto program = [watch = watch] { return run<App>(run_options(1), watch, ask_once); };
            helpers.push_back(std::make_unique<Helper>(program));
            CHECK(helpers.back()->after("watching").empty());
            for (int i = 0; i != signals; ++i) helpers.back()->signal(SIGTERM);
        }
        for (std::size_t number = 0; number != helpers.size(); ++number) {
            CAPTURE(number);
            CAPTURE(signals);
            const ExitStatus status = helpers[number]->wait();
            CHECK(status.code());
            if (signals == 1) CHECK(status == ExitStatus::exited(programs[number].second));
        }
    }
}

Task<> crash_at_the_end(App::Worker& self) {
    print_whole_line("ready");
    co_await self.until_stopping();
    ::kill(::getpid(), SIGTRAP); // for which no sanitizer has a handler
}

namespace {

/// Of a coroutine that nobody waits for: a gauge that goes down when it ends.
Task<> keep_gauge(asio::io_context& io, Counter counter) {
    struct Gauge {
        explicit Gauge(Counter its_counter) : counter(its_counter) { counter.add(); }
        Gauge(const Gauge&) = delete;
        Gauge& operator=(const Gauge&) = delete;
        ~Gauge() { counter.add(-1); }
        Counter counter;
    };
    const Gauge gauge(counter);
    for (;;) co_await pause(io, 1h);
}
Task<> leave_a_gauge(App& app) {
    detail::spawn(app.context().get_executor(), keep_gauge(app.context(), app.counter("gauge")));
    print_whole_line("ready");
    co_await app.next_event();
}
Task<> broadcast_again_and_again(App& app) {
    print_whole_line("ready");
    const Note beat{"beat", 1};
    for (;;) co_await app.broadcast(beat);
}
Task<> scale_again_and_again(App& app) {
    print_whole_line("ready");
    for (unsigned workers = 1;; workers = 3 - workers) {
        app.scale(workers);
        co_await pause(app.context(), 1ms);
    }
}
Task<> publish_something(App& app) {
    const Note news{"news", 1};
    co_await app.publish("topic", news);
    print_whole_line("ready");
}

} // namespace

TEST_CASE("SIGTERM ends run() with 0, at once, whatever the master's function is about") {
    struct Row {
        const char* name;
        Task<> (*watch)(App&);
        bool at_once;
    };
    for (const Row row : {Row{"a Counter in a coroutine that is left", &leave_a_gauge, false},
                          Row{"broadcast() in a loop", &broadcast_again_and_again, false},
                          Row{"scale() in a loop", &scale_again_and_again, true},
                          Row{"a message was published", &publish_something, true}}) {
        CAPTURE(row.name);
        Helper helper([&row] { return run<App>(run_options(1), row.watch, idle); });
        helper.after("ready");
        const auto begin = std::chrono::steady_clock::now();
        helper.signal(SIGTERM);
        CHECK(helper.wait() == ExitStatus::exited(0));
        if (row.at_once) CHECK(std::chrono::steady_clock::now() - begin < 900ms);
    }
}

namespace {

App* the_master = nullptr;

/// One after the other what a worker that can see its master's object might try.
Task<> misuse(App::Worker&) {
    const Note note{"to others", 1};
    const std::function<void()> functions[] = {
        [] { the_master->spawn(idle); },
        [] { the_master->scale(3); },
        [] { the_master->kill(1, SIGTERM); },
        [] { the_master->disconnect(1); },
        [] { the_master->kill_all(); },
        [] { (void)the_master->stop(); },
        [] { (void)the_master->reload(); },
        [] { (void)the_master->upgrade(); },
        [&note] { (void)the_master->send(1, note); },
        [&note] { (void)the_master->broadcast(note); },
        [&note] { (void)the_master->publish("topic", note); },
    };
    int refused = 0;
    for (const auto& function : functions) {
        try {
            function();
        } catch (const std::system_error& error) {
            refused += error.code() == std::errc::operation_not_permitted;
        }
    }
    print_whole_line("refused " + std::to_string(refused) + " of " + std::to_string(std::size(functions)));
    co_return;
}

Task<> spawn_misuse(App& app) {
    the_master = &app;
    app.spawn(misuse);
    co_await app.until_finished();
}

} // namespace

TEST_CASE("in a worker its master's object changes nothing, and says why") {
    Helper helper([] { return run<App>(run_options(1), spawn_misuse, say_pid); });
    CHECK(helper.after("refused ") == "11 of 11");
    CHECK(helper.wait() == ExitStatus::exited(0));
}

TEST_CASE("that a worker crashed is told although it was leaving") {
    Helper helper([] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        return run<App>(run_options(1), watch_nothing, crash_at_the_end);
    });
    CHECK(helper.after("ready").empty());
    helper.signal(SIGTERM);
    const std::string said = helper.rest();
    CHECK(said.find("cohort: worker 1 in slot 0 (process ") == 0);
    CHECK(said.find(") killed by SIGTRAP after ") != said.npos);
    CHECK(said.ends_with("; it was leaving\n"));
    CHECK(helper.wait() == ExitStatus::exited(0));
}

TEST_CASE("when the master's function returns the workers go on") {
    Helper helper([] { return run<App>(run_options(1), watch_nothing, say_pid); });
    CHECK(helper.wait().code() == 0);
    CHECK(helper.rest().starts_with("pid "));
}

/// Serves one client, which decides how long that takes.
Task<> serve_one(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    print_whole_line("port " + std::to_string(listener.port()));
    auto socket = co_await listener.accept();
    print_whole_line("accepted");
    const auto nobody = co_await listener.accept();
    print_whole_line(nobody ? "another" : "stopping");
    co_await answer(self, std::move(*socket));
    print_whole_line("finished");
}

TEST_CASE("SIGTERM, SIGINT and SIGQUIT stop gracefully: what is in flight is finished") {
    int number = 0;
    SUBCASE("SIGTERM") { number = SIGTERM; }
    SUBCASE("SIGINT") { number = SIGINT; }
    SUBCASE("SIGQUIT") { number = SIGQUIT; }
    Helper helper([] { return run<App>(run_options(1), serve_one); });
    asio::io_context io(1);
    Client client(io, static_cast<std::uint16_t>(helper.number_after("port ")));
    helper.after("accepted");
    helper.signal(number);
    helper.after("stopping");
    std::string reply;
    spawn(io, [](Client& c, std::string& r) -> Task<> { r = co_await c.ask("in flight"); }(client, reply));
    io.run_for(limit);
    CHECK(reply == "1 in flight");
    helper.after("finished");
    CHECK(helper.wait().code() == 0);
}

TEST_CASE("a worker that ignores the stop is killed after the grace period") {
    Helper helper([] {
        Options options = run_options(2);
        options.grace = 100ms;
        return run<App>(options, announce, spin<App::Worker>);
    });
    for (int i = 0; i < 2; ++i) helper.after("online ");
    helper.signal(SIGTERM);
    for (int i = 0; i < 2; ++i) CHECK(helper.after("exited ").ends_with("killed by SIGKILL"));
    CHECK(helper.wait().code() == 0);
}

TEST_CASE("a second signal ends the workers at once") {
    Helper helper([] { return run<App>(run_options(2), announce, spin<App::Worker>); });
    for (int i = 0; i < 2; ++i) helper.after("online ");
    helper.signal(SIGINT);
    for (int i = 0; i < 2; ++i) helper.after("draining ");
    helper.signal(SIGINT);
    for (int i = 0; i < 2; ++i) CHECK(helper.after("exited ").ends_with("killed by SIGKILL"));
    CHECK(helper.wait().code() == 0);
}

TEST_CASE("Ctrl-C reaches the master's process group, not its workers") {
    Helper helper([] {
        ::setpgid(0, 0);
        return run<App>(run_options(2), announce, idle);
    });
    for (int i = 0; i < 2; ++i) helper.after("online ");
    ::kill(-helper.pid(), SIGINT);
    for (int i = 0; i < 2; ++i) CHECK(helper.after("exited ").ends_with("exited with code 0"));
    CHECK(helper.wait().code() == 0);
}

// Masters that die

Task<> stay(App::Worker& self) {
    print_whole_line("pid " + std::to_string(self.pid()));
    co_await self.until_stopping();
    print_whole_line(self.connected() ? "asked" : "alone");
}
Task<> stay_in_receive(App::Worker& self) {
    print_whole_line("pid " + std::to_string(self.pid()));
    const auto note = co_await self.receive();
    print_whole_line(note ? "a message" : "alone");
}
Task<> stay_in_accept(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    print_whole_line("pid " + std::to_string(self.pid()));
    const auto socket = co_await listener.accept();
    print_whole_line(socket ? "a connection" : "alone");
}
Task<> stay_stuck(App::Worker& self) {
    print_whole_line("pid " + std::to_string(self.pid()));
    volatile bool forever = true;
    while (forever) {
    }
    co_return;
}
Task<> stay_without_leaving(App::Worker& self) {
    print_whole_line("pid " + std::to_string(self.pid()));
    for (;;) co_await pause(self.context(), 1h);
}

template <auto Body>
int run_pair() {
    Options options = run_options(2);
    options.grace = 100ms;
    return run<App>(options, Body);
}

/// Kills the master and expects both workers to be gone in time; what they said meanwhile.
template <auto Body>
std::string kill_the_master(int before = 0) {
    Helper helper(run_pair<Body>);
    const pid_t first = helper.number_after("pid ");
    const pid_t second = helper.number_after("pid ");
    const Watched one(first);
    const Watched two(second);
    if (before != 0) ::kill(first, before);
    helper.signal(SIGKILL);
    CHECK(one.ends_within(20s));
    CHECK(two.ends_within(20s));
    return helper.rest();
}

TEST_CASE("workers do not outlive a master that was killed, wherever they wait") {
    SUBCASE("until they are to stop") { CHECK(kill_the_master<stay>() == "alone\nalone\n"); }
    SUBCASE("in receive()") { CHECK(kill_the_master<stay_in_receive>() == "alone\nalone\n"); }
    SUBCASE("in accept()") { CHECK(kill_the_master<stay_in_accept>() == "alone\nalone\n"); }
}

TEST_CASE("nor do those that are stuck, stopped, or do not care, when the grace period is over") {
    SUBCASE("in a busy loop") { CHECK(kill_the_master<stay_stuck>() == ""); }
    SUBCASE("not listening to the cluster") { CHECK(kill_the_master<stay_without_leaving>() == ""); }
    SUBCASE("stopped by SIGSTOP") { kill_the_master<stay>(SIGSTOP); }
}

} // namespace
