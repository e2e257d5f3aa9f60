// SPDX-License-Identifier: MIT
// run(): signals that change the number of workers, and the duties of process 1.
#include <cohort/run.hpp>

#include "support/child.hpp"
#include "support/cluster.hpp"
#include "support/http_server.hpp"
#include "support/process.hpp"

#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include <functional>
#include <set>

#include <sched.h>
#include <sys/prctl.h>

using namespace test;

namespace {

/// Written in one piece, so that workers do not mix their lines.
void print_line(const std::string& line) {
    const std::string text = line + "\n";
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

Task<> tell_events(App& app) {
    while (const auto event = co_await app.next_event()) {
        const std::string status = event->status ? " " + event->status->describe() : "";
        print_line(std::string(to_string(event->kind)) + " " + std::to_string(event->slot) + status);
    }
}

Options workers(unsigned count) {
    Options options = plain_options();
    options.workers = count;
    return options;
}

TEST_CASE("SIGTTIN starts one worker more, SIGTTOU ends one, but not the last") {
    Helper helper([] { return run<App>(workers(1), tell_events, idle); });
    CHECK(helper.after("online ") == "0");
    for (const char* const slot : {"1", "2"}) {
        helper.signal(SIGTTIN);
        CHECK(helper.after("online ") == slot);
    }
    for (const char* const slot : {"2", "1"}) {
        helper.signal(SIGTTOU);
        CHECK(helper.after("exited ") == std::string(slot) + " exited with code 0");
    }
    helper.signal(SIGTTOU); // changes nothing
    // Signals that are sent one right after the other come in any order.
    CHECK(eventually([&] { return !is_pending(SIGTTOU, helper.pid()); }));
    helper.signal(SIGTTIN);
    CHECK(helper.after("online ") == "1");
    helper.signal(SIGTERM);
    CHECK(helper.wait().code() == 0);
    const std::string rest = helper.rest();
    CHECK(rest.find("exited 0 exited with code 0") != rest.npos);
    CHECK(rest.find("exited 1 exited with code 0") != rest.npos);
}

TEST_CASE("an autoscaled cluster begins with its least") {
    Helper helper([] {
        Options options = workers(0);
        options.autoscale = Autoscale{.least = 2, .most = 3};
        return run<App>(options, tell_events, idle);
    });
    for (int i = 0; i < 2; ++i) helper.after("online ");
    helper.signal(SIGTERM);
    CHECK(helper.wait().code() == 0);
    CHECK(helper.rest().find("forked") == std::string::npos);
}

// Signals that workers get

Task<> heed_sigterm(App::Worker& self) {
    asio::signal_set terminated(self.get_executor(), SIGTERM);
    print_line("worker " + std::to_string(self.pid()));
    co_await terminated.async_wait(asio::use_awaitable);
    print_line(self.stopping() ? "asked to leave" : "its own");
    co_await self.until_stopping();
}

TEST_CASE("what a worker itself does at a signal stays as it is, whether the body or a hook has set it") {
    Helper helper([] {
        Options options = workers(1);
        options.hooks.in_worker = [](WorkerId, unsigned) {
            ::signal(SIGUSR1, [](int) { print_line("logs opened again"); });
            ::signal(SIGQUIT, SIG_IGN);
        };
        return run<App>(options, heed_sigterm);
    });
    const pid_t worker = helper.number_after("worker ");
    ::kill(worker, SIGUSR1);
    CHECK(helper.line() == "logs opened again");
    ::kill(worker, SIGQUIT);
    ::kill(worker, SIGTERM);
    CHECK(helper.line() == "its own");
    helper.signal(SIGTERM);
    CHECK(helper.wait().code() == 0);
    CHECK(helper.rest().empty());
}

TEST_CASE("a handler that the program has set for SIGUSR1 before run() stays in the master") {
    Helper helper([] {
        ::signal(SIGUSR1, [](int) { print_line("logs opened again"); });
        return run<App>(workers(1), tell_events, idle);
    });
    helper.after("online ");
    helper.signal(SIGUSR1);
    CHECK(helper.after("logs ") == "opened again");
    helper.signal(SIGTERM);
    CHECK(helper.wait().code() == 0);
}

// Process 1

/// Leaves an ended process behind whose parent has died, and says its number.
void make_orphan() {
    int ends[2];
    if (::pipe(ends) != 0) return;
    const pid_t parent = ::fork();
    if (parent == 0) {
        const pid_t self = ::getpid();
        if (::fork() != 0) ::_exit(0);
        while (::getppid() == self) ::usleep(100); // until the master has inherited it
        const pid_t pid = ::getpid();
        ::_exit(::write(ends[1], &pid, sizeof pid) == sizeof pid ? 7 : 8);
    }
    ::waitpid(parent, nullptr, 0);
    pid_t orphan = 0;
    [[maybe_unused]] const auto got = ::read(ends[0], &orphan, sizeof orphan);
    ::close(ends[0]);
    ::close(ends[1]);
    print_line("orphan " + std::to_string(orphan));
}

/// One orphan after the other, each from a worker that then ends with a code of its own.
Task<int> leave_orphans(App::Worker& self) {
    for (int i = 0; i < 10; ++i) make_orphan();
    co_return 40 + static_cast<int>(self.slot());
}

/// Ends when it has no children but the worker that stays.
Task<> until_no_orphans(App& app) {
    for (int i = 0; i < 2; ++i) {
        const Event end = co_await next(app, WorkerState::exited);
        print_line("worker ended with " + std::to_string(end.status->code().value_or(-1)));
    }
    for (;;) {
        siginfo_t info{};
        ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
        if (info.si_pid == 0) break;
        co_await pause(app.context(), 1ms);
    }
    print_line("no orphans");
    while (const auto event = co_await app.next_event())
        if (event->status) print_line("the last " + event->status->describe());
}

Task<int> orphans_or_idle(App::Worker& self) {
    if (self.slot() < 2) {
        const int code = co_await leave_orphans(self);
        co_return code;
    }
    co_await self.until_stopping();
    co_return 0;
}

Task<> orphan_and_end(App::Worker&) {
    make_orphan();
    co_return;
}

int master_of_orphans() { return run<App>(workers(3), until_no_orphans, orphans_or_idle); }

void check_orphans(Helper& helper, const std::function<void()>& end) {
    std::set<std::string> codes;
    for (int i = 0; i < 2; ++i) codes.insert(helper.after("worker ended with "));
    CHECK(codes == std::set<std::string>{"40", "41"});
    helper.after("no orphans");
    end();
    CHECK(helper.after("the last ") == "exited with code 0");
    CHECK(helper.wait().code() == 0);
}

TEST_CASE("a subreaper reaps strangers, and its workers' exit codes still arrive") {
    Helper helper([] {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        return master_of_orphans();
    });
    check_orphans(helper, [&] { helper.signal(SIGTERM); });
}

TEST_CASE("as process 1 of a container too, and SIGTERM stops it gracefully") {
    Helper helper([] {
        if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
            print_line("process not permitted");
            return 0;
        }
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::alarm(60);
            ::_exit(::getpid() == 1 ? master_of_orphans() : 99);
        }
        print_line("process " + std::to_string(pid));
        return wait_for(pid);
    });
    const std::string answer = helper.after("process ");
    if (answer == "not permitted") {
        MESSAGE("no process namespaces here");
        return;
    }
    check_orphans(helper, [&] { ::kill(std::stoi(answer), SIGTERM); });
}

TEST_CASE("whoever waits for children of its own can keep them") {
    Helper helper([] {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        const pid_t own = ::fork();
        if (own == 0) ::_exit(9);
        Options options = workers(1);
        options.reap_strangers = false;
        const int code = run<App>(options, orphan_and_end);
        return code == 0 && wait_for(own) == 9 ? 0 : 1;
    });
    CHECK(helper.wait().code() == 0);
}

} // namespace
