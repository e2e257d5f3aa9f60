// SPDX-License-Identifier: MIT
// Everything that the control socket of the demo server can be asked for, whatever the server goes through meanwhile:
// load, a reload, an upgrade, a worker that is stuck, no descriptors.
#include "support/http_client.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"
#include "support/spawn.hpp"
#include "support/steered_server.hpp"

#include <cohort.hpp>
#include <cohort/control/client.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/resource.h>

using namespace cohort;
using namespace std::chrono_literals;
using test::HttpClient;

namespace {

struct LoggingServer : test::SteeredServer {
    LoggingServer() : SteeredServer(true) {}
};

/// Who steers it. What it asks for must come within the deadline of run_for().
class Steering {
public:
    explicit Steering(const std::string& path) { run(connect(io_, path, client_)); }

    void run(Task<> task) { test::run_for(io_, std::move(task)); }
    template <class T>
    T ask(Task<T> request) {
        T result{};
        run(test::keep_result(std::move(request), result));
        return result;
    }
    asio::io_context& io() { return io_; }
    const control::Client& client() const { return *client_; }

private:
    static Task<> connect(asio::io_context& io, std::string path, std::optional<control::Client>& client) {
        client.emplace(co_await control::Client::connect(io.get_executor(), std::move(path)));
    }

    asio::io_context io_;
    std::optional<control::Client> client_;
};

/// Those that serve and are not leaving, by their slots.
std::vector<WorkerId> serving(const control::MasterStatus& status) {
    std::vector<control::WorkerStatus> workers = status.workers;
    std::erase_if(workers, [](const control::WorkerStatus& worker) { return worker.state != WorkerState::listening; });
    std::ranges::sort(workers, {}, &control::WorkerStatus::slot);
    std::vector<WorkerId> ids;
    for (const auto& worker : workers) ids.push_back(worker.id);
    return ids;
}

/// Looks again after each event.
Task<std::vector<WorkerId>> until_serving(const control::Client& client, std::size_t count) {
    for (std::uint64_t next = 1;;) {
        const control::MasterStatus status = co_await client.status();
        std::vector<WorkerId> workers = serving(status);
        if (workers.size() == count) co_return workers;
        const control::Events some = co_await client.events(next);
        next = some.next;
    }
}

Task<> until_two_serve(const control::Client& client) { co_await until_serving(client, 2); }

/// A worker has crashed, so that there is something in the log, and to tell of; another one serves in its place.
Task<> until_told(const control::Client& client) {
    control::Crashes crashes = co_await client.crashes();
    for (std::uint64_t next = 1; crashes.crashes.empty();) {
        const control::Events some = co_await client.events(next);
        next = some.next;
        crashes = co_await client.crashes();
    }
    CHECK(crashes.crashes.at(0).report.status.signal() == SIGABRT);
    co_await until_two_serve(client);
}

/// All that only looks.
Task<> look(const control::Client& client) {
    const control::MasterStatus status = co_await client.status();
    CHECK(status.wanted == 2);
    const control::Statistics statistics = co_await client.statistics();
    CHECK(statistics.stats.slots.size() == 2);
    const control::Description description = co_await client.describe();
    CHECK(description.options.find("workers: 2") != std::string::npos);
    const control::Requests requests = co_await client.requests();
    CHECK(requests.requests.size() <= 1'000);
    const control::Events events = co_await client.events(1);
    CHECK(events.events.size() >= 2);
}

/// What the master before an upgrade alone knows.
Task<> look_back(const control::Client& client) {
    const control::Crashes crashes = co_await client.crashes();
    CHECK(crashes.crashes.size() == 1);
    const control::Logs logs = co_await client.logs(1);
    CHECK_FALSE(logs.lines.empty());
    const control::Logs last = co_await client.last_logs(crashes.crashes.at(0).report.worker);
    CHECK(last.next >= logs.next);
}

/// All that changes something; afterwards two serve, as before.
Task<> steer(const control::Client& client) {
    co_await client.set({.grace = 20s});
    const control::Description description = co_await client.describe();
    CHECK(description.options.find("grace: 20000 ms") != std::string::npos);
    co_await client.scale(3);
    std::vector<WorkerId> workers = co_await until_serving(client, 3);
    co_await client.signal(workers[2], SIGCONT);
    co_await client.disconnect(workers[2]);
    co_await until_serving(client, 2);
    co_await client.scale(2);
    workers = co_await until_serving(client, 2);
    const control::Outcome restarted = co_await client.restart(workers[0]);
    CHECK(restarted.replaced == 1);
    co_await until_serving(client, 2);
    const control::Outcome reloaded = co_await client.reload();
    CHECK(reloaded.replaced == 2);
}

void crash_one(LoggingServer& server, Steering& steering) {
    HttpClient client(server.port);
    client.send("GET", "/crash");
    CHECK_FALSE(client.read().has_value());
    steering.run(until_told(steering.client()));
}

void stop(LoggingServer& server, Steering& steering) {
    steering.ask(steering.client().stop());
    CHECK(server.example.wait() == ExitStatus::exited(0));
}

/// Again and again while something else is under way.
Task<> look_until(const control::Client& client, const std::optional<control::Outcome>& end, int& times) {
    for (; !end; ++times) co_await look(client);
}

control::Outcome look_during(Steering& steering, Task<control::Outcome> change) {
    std::optional<control::Outcome> end;
    int times = 0;
    test::start(steering.io(), test::keep_result(std::move(change), end));
    steering.run(look_until(steering.client(), end, times));
    CHECK(times > 0);
    return *end;
}

/// How many descriptors this process may have from now on, for as long as this lives; those that it has stay.
class LimitOf {
public:
    LimitOf(pid_t pid, rlim_t most) : pid_(pid) {
        rlimit limit{};
        REQUIRE(::prlimit(pid_, RLIMIT_NOFILE, nullptr, &limit) == 0);
        before_ = limit.rlim_cur;
        set(most);
    }
    LimitOf(const LimitOf&) = delete;
    LimitOf& operator=(const LimitOf&) = delete;
    ~LimitOf() { set(before_); }

private:
    void set(rlim_t most) const {
        rlimit limit{};
        ::prlimit(pid_, RLIMIT_NOFILE, nullptr, &limit);
        limit.rlim_cur = most;
        ::prlimit(pid_, RLIMIT_NOFILE, &limit, nullptr);
    }

    pid_t pid_;
    rlim_t before_ = 0;
};

} // namespace

TEST_CASE("http_server: under load everything can be asked for, and nobody is lost by it") {
    LoggingServer server;
    Steering steering(server.path);
    crash_one(server, steering);
    test::BusyClients clients(server.port, 4);
    steering.run(look(steering.client()));
    steering.run(look_back(steering.client()));
    steering.run(steer(steering.client()));
    CHECK(clients.stop() == 0);
    stop(server, steering);
}

TEST_CASE("http_server: during a reload everything can be asked for") {
    LoggingServer server;
    Steering steering(server.path);
    crash_one(server, steering);
    HttpClient client(server.port); // its answer holds up the reload
    client.send("GET", "/sleep/300");
    CHECK(test::eventually([&] { return !steering.ask(steering.client().requests()).requests.empty(); }));
    CHECK(look_during(steering, steering.client().reload()).replaced == 2);
    CHECK(client.answer().status == 200);
    std::optional<control::Outcome> again;
    test::start(steering.io(), test::keep_result(steering.client().reload(), again));
    steering.run(look_back(steering.client()));
    steering.ask(steering.client().set({.grace = 10s}));
    steering.ask(steering.client().scale(3));
    steering.ask(steering.client().scale(2));
    test::run_until(steering.io(), [&] { return again.has_value(); });
    CHECK(again->replaced >= 2); // three, if the third was there already
    steering.run(until_two_serve(steering.client()));
    steering.run(steer(steering.client())); // its workers have numbers that a reload would change
    stop(server, steering);
}

TEST_CASE("http_server: during an upgrade everything can be asked for, and of the new master afterwards") {
    LoggingServer server;
    Steering before(server.path);
    crash_one(server, before);
    CHECK(look_during(before, before.client().upgrade()).replaced == 2);
    CHECK(server.example.wait() == ExitStatus::exited(0));
    Steering after(server.path);
    const control::MasterStatus status = after.ask(after.client().status());
    const test::Watched watched(status.pid);
    after.run(look(after.client()));
    after.run(steer(after.client()));
    after.ask(after.client().stop());
    CHECK(watched.ends_within(20s));
}

TEST_CASE("http_server: everything can be asked for while a worker is stuck") {
    LoggingServer server;
    Steering steering(server.path);
    crash_one(server, steering);
    const control::MasterStatus status = steering.ask(steering.client().status());
    const WorkerId stuck = serving(status).at(0);
    const auto is_it = [stuck](const control::WorkerStatus& worker) { return worker.id == stuck; };
    const pid_t pid = std::ranges::find_if(status.workers, is_it)->pid;
    ::kill(pid, SIGSTOP);
    steering.run(look(steering.client()));
    steering.run(look_back(steering.client()));
    steering.run(steer(steering.client()));
    steering.ask(steering.client().signal(stuck, SIGKILL)); // it is leaving, and cannot
    stop(server, steering);
}

TEST_CASE("http_server: a master without descriptors can still be seen, and says why it cannot do what it is to") {
#if defined(COHORT_SANITIZED)
    return; // the sanitizer needs descriptors itself
#endif
    LoggingServer server;
    Steering steering(server.path);
    crash_one(server, steering);
    const control::Client& client = steering.client();
    const control::MasterStatus status = steering.ask(client.status());
    {
        const LimitOf limit(status.pid, 3);
        steering.run(look(client));
        steering.run(look_back(client));
        steering.ask(client.set({.grace = 10s}));
        steering.ask(client.signal(serving(status).at(0), SIGCONT));
        const std::array outcomes{steering.ask(client.reload()), steering.ask(client.restart(serving(status).at(0))),
                                  steering.ask(client.upgrade())};
        for (const control::Outcome& outcome : outcomes) {
            CHECK(outcome.replaced == 0);
            CHECK(outcome.error.code() == std::errc::too_many_files_open);
        }
        CHECK(serving(steering.ask(client.status())) == serving(status));
    }
    Steering other(server.path);
    other.run(steer(other.client()));
    stop(server, other);
}
