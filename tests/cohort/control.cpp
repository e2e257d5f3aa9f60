// SPDX-License-Identifier: MIT
// A cluster that is seen and steered through its control socket, by clients in the master's own process.
#include <cohort/control.hpp>
#include <cohort/version.hpp>

#include "support/client.hpp"
#include "support/folder.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <csignal>
#include <unistd.h>

using namespace test;

namespace {

/// A cluster with a control socket, and who steers it.
struct Steered {
    Options options(Options given = permanent_options()) const {
        given.control.path = path();
        return given;
    }
    std::string path() const { return folder / "private/control"; }
    Task<control::Client> connect(MasterBase& app) const {
        return control::Client::connect(app.context().get_executor(), path());
    }

    Folder folder;
};

std::map<unsigned, WorkerId> by_slot(const control::MasterStatus& status) {
    std::map<unsigned, WorkerId> workers;
    for (const auto& worker : status.workers)
        if (worker.state < WorkerState::draining) workers[worker.slot] = worker.id;
    return workers;
}

/// Two that listen, and their port.
template <class A>
Task<std::uint16_t> start_two(A& app) {
    for (int i = 0; i != 2; ++i) app.spawn(server);
    return served_port(app, 2);
}

/// What the master says until somebody has ended in this way.
Task<control::NumberedEvent> follow_until(control::Client& client, WorkerState kind, WorkerId worker) {
    std::uint64_t next = 1;
    for (;;) {
        const control::Events some = co_await client.events(next);
        for (const auto& event : some.events)
            if (event.kind == kind && event.worker == worker) co_return event;
        if (some.ended) throw std::runtime_error("it did not happen");
        next = some.next;
    }
}

Task<control::Events> follow_to_the_end(control::Client& client, std::uint64_t next) {
    for (;;) {
        control::Events some = co_await client.events(next);
        if (some.ended) co_return some;
        next = some.next;
    }
}

} // namespace

TEST_CASE_TEMPLATE("the status of a cluster is that of its processes", A, App, SharedApp) {
    const Steered steered;
    in_master<A>(steered.options(), [&steered](A& app) -> Task<> {
        const std::uint16_t port = co_await start_two(app);
        Client busy(app.context(), port);
        co_await busy.ask("hello");
        const control::Client client = co_await steered.connect(app);
        const control::MasterStatus status = co_await client.status();
        CHECK(status.pid == ::getpid());
        CHECK(status.version == COHORT_VERSION_STRING);
        CHECK(status.program.find("cohort_tests") != std::string::npos);
        CHECK(status.wanted == 2);
        CHECK(status.generation == 0);
        CHECK_FALSE(status.stopping);
        REQUIRE(status.slots.size() == 2);
        CHECK(status.slots[0].restarts == 0);
        const auto workers = app.workers();
        REQUIRE(status.workers.size() == 2);
        for (std::size_t i = 0; i != 2; ++i) {
            CHECK(status.workers[i].id == workers[i].id);
            CHECK(status.workers[i].pid == workers[i].pid);
            CHECK(status.workers[i].state == WorkerState::listening);
            CHECK(status.workers[i].ready);
            CHECK_FALSE(status.workers[i].slow);
            CHECK(status.workers[i].memory > 100'000);
            CHECK(status.workers[i].uptime < limit);
        }
        const control::Statistics statistics = co_await client.statistics();
        CHECK(statistics.totals.workers == 2);
        CHECK(statistics.totals.accepted == 1);
        CHECK(statistics.stats.slots.size() == 2);
        const control::Requests requests = co_await client.requests();
        CHECK(requests.requests.empty());
        const control::Description description = co_await client.describe();
        CHECK(description.options.find("grace: 20000 ms\n") != std::string::npos);
        const Settings settings{.workers = 3, .grace = 10s};
        co_await client.set(settings);
        CHECK(app.workers().size() == 3);
        CHECK(app.options().grace == 10s);
        co_await client.stop();
        CHECK(app.workers().empty());
    });
}

namespace {

/// False: it was not so in time.
Task<bool> until_each_recycles(const control::Client& client, bool (*holds)(const control::RecycleStatus&)) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    bool all = false;
    while (!all && std::chrono::steady_clock::now() < deadline) {
        const control::MasterStatus status = co_await client.status();
        all = std::ranges::all_of(status.workers, holds, &control::WorkerStatus::recycle);
    }
    co_return all;
}

} // namespace

TEST_CASE("by what each worker is recycled, and how far it is from that, is in the status") {
    const Steered steered;
    Options options = steered.options();
    options.recycle = {.requests = 1'000, .age = 1h, .memory = std::uint64_t{1} << 40, .jitter = 0.5, .interval = 5ms};
    in_master<App>(options, [&steered](App& app) -> Task<> {
        co_await start_two(app);
        const control::Client client = co_await steered.connect(app);
        const auto is_known = [](const control::RecycleStatus& recycle) { return recycle.request_limit != 0; };
        const auto has_aged = [](const control::RecycleStatus& recycle) { return recycle.age > 0ms; };
        bool is_so = co_await until_each_recycles(client, is_known);
        CHECK(is_so);
        is_so = co_await until_each_recycles(client, has_aged);
        CHECK(is_so);
        control::MasterStatus status = co_await client.status();
        REQUIRE(status.workers.size() == 2);
        for (const auto& worker : status.workers) {
            CHECK(worker.recycle.request_limit >= 500);
            CHECK(worker.recycle.request_limit <= 1'000);
            CHECK(worker.recycle.age_limit >= 30min);
            CHECK(worker.recycle.age_limit <= 1h);
            CHECK(worker.recycle.memory_limit == std::uint64_t{1} << 40);
            CHECK(worker.recycle.age <= worker.uptime);
            CHECK_FALSE(worker.recycle.due);
        }
        const Settings none{.recycle = Recycle{}};
        co_await client.set(none);
        status = co_await client.status();
        for (const auto& worker : status.workers) CHECK(worker.recycle.request_limit == 0);
        CHECK(by_slot(status) == std::map<unsigned, WorkerId>{{0, 1}, {1, 2}});
        co_await client.stop();
    });
}

TEST_CASE_TEMPLATE("what happens is told to each reader from the number on that it asks for", A, App, SharedApp) {
    const Steered steered;
    in_master<A>(steered.options(), [&steered](A& app) -> Task<> {
        co_await start_two(app);
        control::Client client = co_await steered.connect(app);
        control::Client other = co_await steered.connect(app);
        const control::Events first = co_await client.events(1);
        CHECK(first.missed == 0);
        CHECK_FALSE(first.ended);
        for (std::size_t i = 0; i != first.events.size(); ++i) CHECK(first.events[i].number == i + 1);
        CHECK(first.next == first.events.size() + 1);
        app.kill(1, SIGKILL);
        const control::NumberedEvent end = co_await follow_until(client, WorkerState::exited, 1);
        CHECK(end.status == ExitStatus::signaled(SIGKILL));
        CHECK(end.number >= first.next);
        CHECK(end.time >= first.events.back().time);
        const control::Events again = co_await other.events(end.number);
        REQUIRE_FALSE(again.events.empty());
        CHECK(again.events[0].number == end.number);
        CHECK(again.events[0].pid == end.pid);
        control::Events last;
        bool has_ended = false;
        spawn(app.context(), keep_result(follow_to_the_end(other, again.next), last),
              [&has_ended](std::exception_ptr failure) { has_ended = !failure; });
        co_await client.stop();
        const auto deadline = std::chrono::steady_clock::now() + 5s;
        while (!has_ended && std::chrono::steady_clock::now() < deadline) co_await pause(app.context(), 1ms);
        CHECK(last.ended);
        CHECK(last.missed == 0);
    });
}

TEST_CASE_TEMPLATE("workers are replaced, added, told to leave and killed from outside", A, App, SharedApp) {
    const Steered steered;
    in_master<A>(steered.options(), [&steered](A& app) -> Task<> {
        co_await start_two(app);
        control::Client client = co_await steered.connect(app);
        const control::Outcome reloaded = co_await client.reload();
        CHECK(reloaded);
        CHECK(reloaded.replaced == 2);
        control::MasterStatus status = co_await client.status();
        CHECK(by_slot(status) == std::map<unsigned, WorkerId>{{0, 3}, {1, 4}});
        CHECK(status.generation == 1);
        CHECK(status.workers.back().generation == 1);
        const control::Outcome restarted = co_await client.restart(3);
        CHECK(restarted.replaced == 1);
        status = co_await client.status();
        CHECK(by_slot(status) == std::map<unsigned, WorkerId>{{0, 5}, {1, 4}});
        co_await client.scale(3);
        status = co_await client.status();
        CHECK(status.wanted == 3);
        CHECK(by_slot(status) == std::map<unsigned, WorkerId>{{0, 5}, {1, 4}, {2, 6}});
        co_await client.signal(4, SIGALRM);
        co_await follow_until(client, WorkerState::exited, 4);
        status = co_await client.status();
        CHECK(status.slots[1].restarts == 1);
        CHECK(status.slots[1].last_end == "killed by SIGALRM");
        co_await client.disconnect(6);
        const control::NumberedEvent left = co_await follow_until(client, WorkerState::exited, 6);
        CHECK(left.voluntary);
        CHECK(left.status == ExitStatus::exited(0));
        co_await client.stop();
        CHECK(app.workers().empty());
    });
}

namespace {

template <class T, class Error>
Task<> fails_with(Task<T> request, Error expected) {
    std::error_code error;
    try {
        co_await std::move(request);
    } catch (const std::system_error& thrown) {
        error = thrown.code();
    }
    CHECK(error == expected);
}

} // namespace

TEST_CASE("what cannot be done is said as the master's own functions say it") {
    const Steered steered;
    in_master<App>(steered.options(), [&steered](App& app) -> Task<> {
        co_await start_two(app);
        const control::Client client = co_await steered.connect(app);
        co_await fails_with(client.restart(77), Errc::no_such_worker);
        co_await fails_with(client.signal(77, SIGTERM), Errc::no_such_worker);
        co_await fails_with(client.disconnect(77), Errc::no_such_worker);
        co_await fails_with(client.signal(1, 4'711), std::errc::invalid_argument);
        co_await fails_with(client.call<control::Nothing>("no such", control::Nothing{}), Errc::no_such_action);
        co_await fails_with(client.call<std::string>("reload", control::Nothing{}), Errc::schema_mismatch);
        co_await fails_with(client.call<control::Outcome>("reload", std::string("now")), Errc::schema_mismatch);
        const control::MasterStatus status = co_await client.status();
        CHECK(by_slot(status) == std::map<unsigned, WorkerId>{{0, 1}, {1, 2}});
        app.kill_all();
    });
}

namespace {

struct Flush {
    std::string cache;
    int seconds = 0;
};
struct Flushed {
    std::vector<std::string> entries;
};

Task<> fail_with(int error) {
    co_await yield();
    throw std::system_error(error, std::system_category());
}

Task<Flushed> flush(const Flush& wanted) {
    if (wanted.cache == "unknown") throw std::system_error(ENOENT, std::system_category(), "no such cache");
    if (wanted.cache == "broken") throw std::runtime_error("the cache is broken");
    if (wanted.cache == "odd") throw 42;
    if (wanted.cache == "slow") co_await never();
    if (wanted.cache == "two") co_await both(fail_with(ENOENT), fail_with(EIO));
    co_return Flushed{{wanted.cache, std::to_string(wanted.seconds)}};
}

} // namespace

TEST_CASE("a program has actions of its own") {
    const Steered steered;
    in_master<App>(steered.options(), [&steered](App& app) -> Task<> {
        control::on<Flush>(app, "flush-cache", flush);
        CHECK(error_of([&] { control::on<Flush>(app, "flush-cache", flush); }) == std::errc::file_exists);
        CHECK(error_of([&] { control::on<Flush>(app, "reload", flush); }) == std::errc::file_exists);
        co_await start_two(app);
        const control::Client client = co_await steered.connect(app);
        Flush wanted{"names", 3};
        const Flushed flushed = co_await client.call<Flushed>("flush-cache", wanted);
        CHECK(flushed.entries == std::vector<std::string>{"names", "3"});
        wanted.cache = "unknown";
        co_await fails_with(client.call<Flushed>("flush-cache", wanted), std::errc::no_such_file_or_directory);
        wanted.cache = "two";
        co_await fails_with(client.call<Flushed>("flush-cache", wanted), std::errc::no_such_file_or_directory);
        wanted.cache = "odd";
        co_await fails_with(client.call<Flushed>("flush-cache", wanted), Errc::call_failed);
        wanted.cache = "slow";
        co_await fails_with(client.call<Flushed>("flush-cache", wanted, 1ms), std::errc::timed_out);
        wanted.cache = "broken";
        std::string what;
        try {
            co_await client.call<Flushed>("flush-cache", wanted);
        } catch (const std::system_error& error) {
            CHECK(error.code() == Errc::call_failed);
            what = error.what();
        }
        CHECK(what.find("the cache is broken") != std::string::npos);
        app.kill_all();
    });
    asio::io_context io;
    App closed(io, plain_options());
    CHECK(error_of([&] { control::on<Flush>(closed, "flush-cache", flush); }) == Errc::closed);
}
