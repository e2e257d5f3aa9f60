// SPDX-License-Identifier: MIT
// Fewer workers and more again while connections keep coming, in every mode.
#include <cohort/mode.hpp>

#include <cohort/mode/shared_listener.hpp>

#include "support/client.hpp"

#include <algorithm>

using namespace test;

namespace {

using QueueApp = Master<Note, SharedListener>;

#if defined(COHORT_SANITIZED)
constexpr int cycles = 20; // each costs much more there
#else
constexpr int cycles = 100;
#endif

/// Connections without a pause, five at a time.
struct AskedLoad {
    bool wanted = true;
    bool ended = false;
    int served = 0;
    int failed = 0;
};

template <class A>
Task<> keep_asking(A& app, std::uint16_t port, AskedLoad& load) {
    while (load.wanted) {
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 5);
        auto count = co_await answers(clients);
        load.failed += count[0];
        load.served += 5 - count[0];
    }
    load.ended = true;
}

TEST_CASE_TEMPLATE("from four workers to one and back, again and again, no connection fails", A, App, SharedApp,
                   QueueApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 4);
        AskedLoad load;
        spawn(app.context(), keep_asking(app, port, load));
        for (int cycle = 0; cycle < cycles; ++cycle) {
            const auto workers = app.workers();
            REQUIRE(workers.size() == 4);
            const int before = load.served;
            for (std::size_t i = 0; i < 3; ++i) app.disconnect(workers[(static_cast<std::size_t>(cycle) + i) % 4].id);
            for (int i = 0; i < 3; ++i) {
                const Event end = co_await next(app, WorkerState::exited);
                CHECK(end.status->success());
            }
            while (load.served < before + 10) co_await pause(app.context(), 1ms); // by the one that is left
            for (int i = 0; i < 3; ++i) app.spawn(server);
            co_await served_port(app, 3);
        }
        load.wanted = false;
        while (!load.ended) co_await pause(app.context(), 1ms);
        CHECK(load.failed == 0);
        CHECK(load.served > 0);
    });
}

TEST_CASE_TEMPLATE("the successor of a killed worker listens within half a second", A, App, SharedApp, QueueApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(server);
        co_await served_port(app, 4);
        [[maybe_unused]] auto fastest = std::chrono::steady_clock::duration::max();
        for (WorkerId worker = 1; worker <= 4; ++worker) { // one of them is not delayed by other programs
            const auto killed = std::chrono::steady_clock::now();
            const auto workers = app.workers();
            ::kill(std::ranges::find(workers, worker, &WorkerInfo::id)->pid, SIGKILL);
            const Event event = co_await next(app, WorkerState::listening);
            CHECK(event.slot == worker - 1);
            fastest = std::min(fastest, std::chrono::steady_clock::now() - killed);
        }
#if !defined(COHORT_SANITIZED) // there a fork alone may take that long
        CHECK(fastest <= 500ms);
#endif
    });
}

} // namespace
