// SPDX-License-Identifier: MIT
// What a service manager hears of a cluster: the order of messages, who sends them, and that none holds the master up.
#include <cohort/detail/supervise/service_notifier.hpp>

#include <cohort/run.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"
#include "support/service_manager.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include <time.h>
#include <unistd.h>

using namespace test;
using detail::WorkerCounts;

namespace {

TEST_CASE("the status is a sentence for operators") {
    struct Row {
        WorkerCounts counts;
        bool stopping;
        const char* text;
    };
    const Row rows[] = {
        {{.wanted = 4, .ready = 4, .alive = 4}, false, "4 of 4 workers are ready"},
        {{.wanted = 1, .ready = 1, .alive = 1}, false, "1 of 1 worker is ready"},
        {{.wanted = 4, .ready = 3, .leaving = 1, .alive = 4}, false, "3 of 4 workers are ready, 1 is leaving"},
        {{.wanted = 4, .ready = 4, .leaving = 2, .alive = 6}, false, "4 of 4 workers are ready, 2 are leaving"},
        {{.wanted = 1, .ready = 1, .alive = 1, .given_up = true}, false, "1 of 1 worker is ready, a slot was given up"},
        {{.leaving = 2, .alive = 2}, true, "stopping, 2 workers are left"},
        {{.leaving = 1, .alive = 1}, true, "stopping, 1 worker is left"},
    };
    for (const Row& row : rows) CHECK(detail::describe(row.counts, row.stopping) == row.text);
}

Options service_options(unsigned workers) {
    Options options = permanent_options();
    options.workers = workers;
    return options;
}

void print(const std::string& line) {
    const std::string text = line + "\n";
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

std::string service_variables() {
    std::string found;
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})
        if (std::getenv(name) != nullptr) found += name;
    return found;
}

Task<> say_variables(App::Worker& self) {
    print("variables: " + service_variables());
    co_await self.until_stopping();
}

/// A master that the service manager has started.
template <class Program>
auto as_service(const ServiceManager& manager, Program program) {
    return [&manager, program] {
        manager.adopt();
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        return program();
    };
}

int run_two() { return run<App>(service_options(2), say_variables); }

std::int64_t monotonic_microseconds() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

TEST_CASE("READY when the workers are, STOPPING when they are to end, and nobody speaks but the master") {
    for (const auto name : {ServiceManager::Name::path, ServiceManager::Name::abstract}) {
        ServiceManager manager(name);
        Helper helper(as_service(manager, run_two));
        for (int i = 0; i < 2; ++i) CHECK(helper.after("variables: ").empty());
        std::vector<Notification> all;
        all.push_back(manager.next("READY=1", &all));
        CHECK(all.back().value_of("STATUS") == "2 of 2 workers are ready");
        helper.signal(SIGTERM);
        all.push_back(manager.next("STOPPING=1", &all));
        CHECK(all.back().value_of("STATUS") == "stopping, 2 workers are left");
        CHECK(helper.wait() == ExitStatus::exited(0));
        const auto rest = manager.all_within(0ms);
        all.insert(all.end(), rest.begin(), rest.end());
        CHECK(std::ranges::all_of(all, [&](const Notification& one) { return one.from == all.front().from; }));
        CHECK(std::ranges::count_if(all, [](const Notification& one) { return one.has("READY=1"); }) == 1);
        CHECK(std::ranges::none_of(rest, [](const Notification& one) { return one.has("STOPPING=1"); }));
    }
}

TEST_CASE("a master that is no run() speaks as well") {
    ServiceManager manager;
    Helper helper(as_service(manager, [] {
        in_master<App>(permanent_options(), [](App& app) -> Task<> {
            app.spawn(idle);
            co_await next(app, WorkerState::online);
            print("online");
            co_await pause(app.context(), 100ms);
            co_await app.stop();
        });
        return 0;
    }));
    helper.after("online");
    CHECK(manager.next("READY=1").value_of("STATUS") == "1 of 1 worker is ready");
    manager.next("STOPPING=1");
    CHECK(helper.wait() == ExitStatus::exited(0));
}

// Reloads

std::atomic<int>* is_broken = nullptr;

Task<int> get_ready_unless_broken(App::Worker& self) {
    if (*is_broken != 0) co_return 3;
    self.ready();
    co_await self.until_stopping();
    co_return 0;
}

int run_announced() {
    Options options = service_options(2);
    options.readiness = Readiness::announced;
    return run<App>(options, get_ready_unless_broken);
}

TEST_CASE("a reload is told from its beginning to its end, and how it went") {
    is_broken = &make_shared_number();
    ServiceManager manager;
    Helper helper(as_service(manager, run_announced));
    manager.next("READY=1");
    for (const int broken : {0, 1, 0}) {
        CAPTURE(broken);
        *is_broken = broken;
        const std::int64_t before = monotonic_microseconds();
        helper.signal(SIGHUP);
        const std::int64_t begun = std::stoll(manager.next("RELOADING=1").value_of("MONOTONIC_USEC"));
        CHECK(begun >= before);
        const Notification end = manager.next("READY=1");
        CHECK(begun <= monotonic_microseconds());
        const bool says_why =
            end.value_of("STATUS").find("; the reload failed: the new worker did not") != std::string::npos;
        CHECK(says_why == (broken != 0));
    }
    helper.signal(SIGTERM);
    manager.next("STOPPING=1");
    CHECK(helper.wait() == ExitStatus::exited(0));
}

Task<> begin_nothing(App::Worker& self) { co_await self.until_stopping(); }

int run_never_ready() {
    Options options = service_options(1);
    options.readiness = Readiness::announced;
    return run<App>(options, begin_nothing);
}

TEST_CASE("before the first workers are ready nothing says so, nor does a reload") {
    ServiceManager manager;
    Helper helper(as_service(manager, run_never_ready));
    std::vector<Notification> before{manager.next("STATUS=0 of 1 worker is ready")};
    helper.signal(SIGHUP);
    helper.signal(SIGTERM);
    manager.next("STOPPING=1", &before);
    for (const Notification& one : before) CHECK_FALSE((one.has("READY=1") || one.has("RELOADING=1")));
    CHECK(helper.wait() == ExitStatus::exited(0));
}

// The watchdog

TEST_CASE("the watchdog hears of the process that it is about, again and again") {
    struct Row {
        const char* process;
        bool is_own;
    };
    for (const Row row : {Row{"", true}, Row{"1", false}}) {
        ServiceManager manager;
        Helper helper(as_service(manager, [row] {
            ::setenv("WATCHDOG_USEC", "100000", 1);
            if (*row.process != '\0') ::setenv("WATCHDOG_PID", row.process, 1);
            return run_two();
        }));
        for (int i = 0; i < 2; ++i) CHECK(helper.after("variables: ").empty());
        manager.next("READY=1");
        for (int i = 0; row.is_own && i != 5; ++i) manager.next("WATCHDOG=1");
        if (!row.is_own)
            for (const Notification& one : manager.all_within(300ms)) CHECK_FALSE(one.has("WATCHDOG=1"));
        helper.signal(SIGTERM);
        CHECK(helper.wait() == ExitStatus::exited(0));
    }
}

Task<> block_soon(App& app) {
    co_await next(app, WorkerState::online);
    print("blocking");
    ::raise(SIGSTOP);
}

TEST_CASE("the watchdog hears nothing of a master whose loop stands still") {
    ServiceManager manager;
    Helper helper(as_service(manager, [] {
        ::setenv("WATCHDOG_USEC", "100000", 1);
        return run<App>(service_options(1), block_soon, begin_nothing);
    }));
    helper.after("blocking");
    while (!manager.all_within(200ms).empty()) {
    }
    CHECK(manager.all_within(300ms).empty());
    helper.signal(SIGCONT);
    manager.next("WATCHDOG=1");
    helper.signal(SIGTERM);
    CHECK(helper.wait() == ExitStatus::exited(0));
}

// Readers that do not read

TEST_CASE("a service manager that does not read, or is not there, holds nothing up") {
    ServiceManager manager;
    manager.fill();
    for (const std::string& address :
         {manager.address(), std::string("/nonexistent/notify"), std::string("no address")}) {
        CAPTURE(address);
        Helper helper([&address] {
            ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
            return run_two();
        });
        for (int i = 0; i < 2; ++i) CHECK(helper.after("variables: ").empty());
        helper.signal(SIGHUP);
        for (int i = 0; i < 2; ++i) CHECK(helper.after("variables: ").empty());
        helper.signal(SIGTERM);
        CHECK(helper.wait() == ExitStatus::exited(0));
    }
}

Task<> say_when_ready(App& app) {
    for (int i = 0; i < 2; ++i) co_await next(app, WorkerState::online);
    print("ready");
}

TEST_CASE("what there was no room for is said when there is") {
    ServiceManager manager;
    manager.fill();
    Helper helper(as_service(manager, [] { return run<App>(service_options(2), say_when_ready, idle); }));
    helper.after("ready");
    helper.signal(SIGHUP);
    helper.after("cohort: reload: ");
    manager.next("READY=1");
    manager.next("RELOADING=1");
    manager.next("READY=1");
    helper.signal(SIGTERM);
    manager.next("STOPPING=1");
    CHECK(helper.wait() == ExitStatus::exited(0));
}

struct NoWorkers final : detail::ServiceNotifier::Owner {
    WorkerCounts count_workers() const override { return {}; }
    bool keep_listeners(const detail::NotifySocket&) override { return true; }
};

int hand_over_and_end() {
    asio::io_context io(1);
    NoWorkers owner;
    detail::ServiceNotifier notifier(io.get_executor(), false, owner);
    notifier.hand_over(4'711);
    print("handed over");
    notifier.finish();
    return 0;
}

TEST_CASE("who follows is said also by a master that ends before there is room") {
    ServiceManager manager;
    manager.fill();
    Helper helper(as_service(manager, hand_over_and_end));
    helper.after("handed over");
    manager.next("MAINPID=4711");
    CHECK(helper.wait() == ExitStatus::exited(0));
}

Task<> scale_often(App& app) {
    co_await next(app, WorkerState::online);
    for (unsigned i = 0; i != 60; ++i) {
        app.scale(1 + i % 2);
        co_await pause(app.context(), 10ms);
    }
    print("scaled");
}

TEST_CASE("many changes are told at once") {
    ServiceManager manager;
    const auto begin = std::chrono::steady_clock::now();
    Helper helper(as_service(manager, [] { return run<App>(service_options(1), scale_often, idle); }));
    helper.after("scaled");
    std::vector<Notification> said;
    said.push_back(manager.next("STATUS=2 of 2 workers are ready", &said));   // the last of them
    const auto most = (std::chrono::steady_clock::now() - begin) / 300ms + 2; // READY is one more
    CHECK(std::ssize(said) <= most);
    helper.signal(SIGTERM);
    CHECK(helper.wait() == ExitStatus::exited(0));
}

} // namespace
