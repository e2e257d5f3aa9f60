// SPDX-License-Identifier: MIT
// Workers that have had their time, or fail their probes: the successor first, and no client notices.
#include <cohort/detail/supervise/health_monitor.hpp>
#include <cohort/detail/supervise/resident_memory.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

using namespace test;

namespace {

Options busy_options() {
    Options options = permanent_options();
    options.recycle.interval = 10ms;
    return options;
}

std::atomic<int>& switch_of_all() {
    static std::atomic<int>& number = make_shared_number();
    return number;
}

/// Each line is a request.
template <class W>
Task<> counting_server(W& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) {
        const auto counted = self.begin_request();
        co_await answer(self, std::move(*socket));
    }
}

/// Keeps some memory for each line.
template <class W>
Task<> greedy_server(W& self) {
    static std::vector<std::string> kept;
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) {
        kept.emplace_back(std::size_t{1} << 20, 'x');
        co_await answer(self, std::move(*socket));
    }
}

/// Asks, on a connection of its own each time, until so many workers have answered; gives how often nobody did.
template <class A>
Task<int> ask_until(A& app, std::uint16_t port, std::size_t workers) {
    std::set<WorkerId> answered;
    int failed = 0;
    while (answered.size() < workers) {
        const std::string reply = co_await ask(app, port);
        if (who(reply) == 0)
            ++failed;
        else
            answered.insert(who(reply));
    }
    co_return failed;
}

TEST_CASE_TEMPLATE("workers are replaced after so many requests, and no request fails", A, App, SharedApp) {
    Options options = busy_options();
    options.recycle.requests = 20;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(counting_server<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        int first = -1, second = -1;
        co_await both(keep_result(ask_until(app, port, 6), first), keep_result(ask_until(app, port, 6), second));
        CHECK(first == 0);
        CHECK(second == 0);
        CHECK(app.stats().total().requests == app.stats().total().accepted);
        CHECK(app.stats().total().requests > 80);
        co_await app.stop();
        const auto events = co_await all_events(app);
        std::set<WorkerId> served; // the stop may have found a successor that did not yet
        for (const Event& event : events) {
            if (event.kind == WorkerState::listening) served.insert(event.worker);
            if (event.kind != WorkerState::exited) continue;
            CHECK(event.voluntary);
            if (served.contains(event.worker) || event.worker <= 2) CHECK(event.status->success());
        }
        CHECK(served.size() >= 4); // beside the first two
    });
}

TEST_CASE_TEMPLATE("workers are replaced at a certain age, one after the other", A, App, SharedApp) {
    Options options = busy_options();
    options.recycle.age = 200ms;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(counting_server<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app, 3);
        const auto begin = std::chrono::steady_clock::now();
        const int failed = co_await ask_until(app, port, 9);
        CHECK(failed == 0);
        CHECK(std::chrono::steady_clock::now() - begin >= 200ms);
        std::set<unsigned> slots;
        for (const auto& worker : app.workers())
            if (worker.state != WorkerState::draining) slots.insert(worker.slot);
        CHECK(slots.size() == 3);
    });
}

TEST_CASE_TEMPLATE("a worker that has grown too large is replaced by a small one", A, App, SharedApp) {
    Options options = busy_options();
    options.recycle.memory = detail::resident_memory(::getpid()).value() + (std::uint64_t{32} << 20);
    in_master<A>(options, [limit = options.recycle.memory](A& app) -> Task<> {
        app.spawn(greedy_server<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        const int failed = co_await ask_until(app, port, 3);
        CHECK(failed == 0);
        while (app.workers().size() > 1) co_await pause(app.context(), 1ms);
        CHECK(detail::resident_memory(app.workers().at(0).pid).value() < limit);
    });
}

/// Stays until it is killed.
Task<> stay(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    asio::steady_timer forever(self.context(), asio::steady_timer::time_point::max());
    co_await forever.async_wait(asio::use_awaitable);
}

TEST_CASE("a slot whose last worker is still leaving is not replaced again") {
    Options options = busy_options();
    options.recycle.age = 20ms;
    options.grace = 300ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(stay);
        const auto begin = std::chrono::steady_clock::now();
        std::size_t most = 0;
        while (app.workers().back().id < 4) {
            most = std::max(most, app.workers().size());
            co_await pause(app.context(), 1ms);
        }
        CHECK(most == 2);
        CHECK(std::chrono::steady_clock::now() - begin >= 600ms);
    });
}

/// Those after the first are not ready until they may.
Task<> hesitant_server(App::Worker& self) {
    while (self.id() > 1 && switch_of_all() == 0 && !self.stopping()) co_await pause(self.context(), 1ms);
    auto listener = co_await self.listen(any_port());
    co_await serve(self, listener);
}

TEST_CASE("a worker whose successor does not become ready stays, and is replaced later") {
    switch_of_all() = 0;
    Options options = busy_options();
    options.recycle.age = 50ms;
    options.boot_timeout = 500ms; // a good successor needs less on a busy machine
    options.backoff.first = 10ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(hesitant_server);
        const std::uint16_t port = co_await served_port(app);
        for (WorkerId successor = 2; successor < 4; ++successor) {
            const Event end = co_await end_of(app, successor);
            CHECK(end.status->signal() == SIGKILL);
            const std::string reply = co_await ask(app, port);
            CHECK(who(reply) == 1);
        }
        switch_of_all() = 1;
        const Event end = co_await end_of(app, 1);
        CHECK(end.status->success());
        CHECK_FALSE(app.has_given_up());
    });
}

TEST_CASE("a reload waits for a replacement under way, and nothing is replaced during a reload") {
    switch_of_all() = 0;
    Options options = busy_options();
    options.recycle.age = 50ms;
    options.recycle.jitter = 0;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(hesitant_server);
        co_await served_port(app);
        const Event successor = co_await next(app, WorkerState::online); // it is not ready
        CHECK(successor.worker == 2);
        const auto get_going = [](App& it) -> Task<> {
            co_await pause(it.context(), 1ms);
            CHECK(it.workers().size() == 2);
            switch_of_all() = 1;
        };
        ReloadReport report;
        co_await both(keep_result(app.reload(), report), get_going(app));
        CHECK_FALSE(report.error);
        CHECK(report.replaced == 1);
        const auto now = app.workers();
        CHECK(now.back().id == 3);
    });
}

TEST_CASE("a stop ends a reload that waits for a replacement") {
    switch_of_all() = 0;
    Options options = busy_options();
    options.recycle.age = 50ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(hesitant_server);
        co_await served_port(app);
        co_await next(app, WorkerState::online);
        ReloadReport report;
        Task<> reload = keep_result(app.reload(), report);
        co_await both(std::move(reload), app.stop());
        CHECK(report.error == Errc::stopping);
        CHECK(app.workers().empty());
    });
}

// Probes

std::map<WorkerId, int> probes; // so far

/// Workers with an even id are healthy.
Task<bool> check_id(WorkerInfo worker) {
    ++probes[worker.id];
    co_return worker.id % 2 == 0;
}

TEST_CASE("a worker that fails its probes in a row is replaced, a healthy one is not") {
    Options options = busy_options();
    options.probe = {.check = check_id, .interval = 20ms, .timeout = 1s, .failures = 3};
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 2);
        const auto begin = std::chrono::steady_clock::now();
        const int failed = co_await ask_until(app, port, 4); // 1, 2, 3 and at last 4
        CHECK(failed == 0);
        CHECK(std::chrono::steady_clock::now() - begin >= 80ms); // twice three probes, about
        for (const WorkerId worker : {1U, 3U}) {
            const Event end = co_await end_of(app, worker);
            CHECK(end.voluntary);
            CHECK(end.status->success());
        }
        for (const WorkerId worker : {2U, 4U}) // and more probes than it takes change nothing
            for (const int before = probes[worker]; probes[worker] < before + 5;) co_await pause(app.context(), 1ms);
        std::set<WorkerId> left;
        for (const auto& worker : app.workers()) left.insert(worker.id);
        CHECK(left == std::set<WorkerId>{2, 4});
    });
}

/// Waits for ever for the first worker, throws for the second and the third.
struct Questions {
    int asked = 0;
    int cancelled = 0;
};
Questions questions;

Task<bool> hang_or_throw(WorkerInfo worker) {
    ++questions.asked;
    if (worker.id == 2) throw std::runtime_error("unreachable");
    if (worker.id == 3) throw worker.id; // a program may throw anything
    if (worker.id > 3) co_return true;
    asio::steady_timer forever(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    std::error_code error;
    co_await forever.async_wait(asio::redirect_error(asio::use_awaitable, error));
    ++questions.cancelled;
    co_return true;
}

TEST_CASE("a probe that takes too long is cancelled, and failed like one that throws") {
    questions = {};
    Options options = busy_options();
    options.probe = {.check = hang_or_throw, .interval = 20ms, .timeout = 30ms, .failures = 2};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(server);
        co_await end_of(app, 1);
        CHECK(questions.cancelled >= 2); // one more may begin until the successor is ready
        co_await end_of(app, 2);
        co_await end_of(app, 3);
        CHECK(questions.asked >= 6);
        while (questions.asked < 10) co_await pause(app.context(), 1ms);
        CHECK(app.workers().back().id == 4);
    });
}

Task<bool> throw_it(WorkerInfo) {
    throw std::runtime_error("no database");
    co_return true;
}
Task<bool> say_no(WorkerInfo) { co_return false; }

TEST_CASE("what the probes of a worker fail of is said when it is to be replaced") {
    struct Row {
        std::function<Task<bool>(WorkerInfo)> check;
        const char* said;
    };
    const Row rows[] = {
        {throw_it, "its probes fail (no database), it is"},
        {[](const WorkerInfo&) -> Task<bool> { throw std::logic_error("at once"); },
         "its probes fail (at once), it is"},
        {hang_or_throw, "its probes fail (no answer in time), it is"},
        {say_no, "its probes fail, it is"},
    };
    for (const Row& row : rows) {
        questions = {};
        Options options = busy_options();
        options.probe = {.check = row.check, .interval = 10ms, .timeout = 30ms, .failures = 1};
        Helper master([&options] {
            ::dup2(STDOUT_FILENO, STDERR_FILENO);
            in_master<App>(options, [](App& app) -> Task<> {
                app.spawn(server);
                co_await end_of(app, 1);
            });
            return 0;
        });
        std::string said;
        while (const auto line = master.line()) said += *line + "\n";
        CHECK(said.find(row.said) != std::string::npos);
    }
}

TEST_CASE("a probe of a worker that ends is cancelled") {
    questions = {};
    Options options = busy_options();
    options.probe = {.check = hang_or_throw, .interval = 10ms, .timeout = 1h, .failures = 2};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(server);
        while (questions.asked == 0) co_await pause(app.context(), 1ms);
        co_await app.stop();
        while (questions.cancelled == 0) co_await pause(app.context(), 1ms);
        CHECK(questions.asked == 1);
    });
}

} // namespace
