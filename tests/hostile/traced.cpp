// SPDX-License-Identifier: MIT
// A worker that an orphan of its own traces: it ends, but its status goes to the tracer, for as long as that likes.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <cohort/detail/supervise/cpu_time.hpp>

#include <csignal>
#include <string>

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace test;

namespace {

int tracing[2]; // as long as its writing end is open, the tracer holds what it has

char trace(pid_t worker) { return ::ptrace(PTRACE_SEIZE, worker, nullptr, nullptr) == 0 ? 'y' : 'n'; }

/// Whether the worker is traced now. No signal may reach it from here on: it would stop, and wait for its tracer.
bool begin_tracing() {
    int told[2];
    int said[2];
    if (::pipe(told) != 0 || ::pipe(said) != 0) return false;
    const pid_t worker = ::getpid();
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    const pid_t between = ::fork();
    if (between == 0) {
        if (::fork() != 0) ::_exit(0);
        ::close(tracing[1]);
        ::close(said[0]);
        char begin = 0;
        [[maybe_unused]] const auto waited = ::read(told[0], &begin, 1);
        const char answer = trace(worker);
        [[maybe_unused]] const auto written = ::write(said[1], &answer, 1);
        char end = 0;
        [[maybe_unused]] const auto held = ::read(tracing[0], &end, 1);
        ::_exit(0);
    }
    ::close(said[1]);
    ::waitpid(between, nullptr, 0);
    char answer = 'n';
    [[maybe_unused]] const auto written = ::write(told[1], &answer, 1);
    [[maybe_unused]] const auto read = ::read(said[0], &answer, 1);
    return answer == 'y';
}

bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

Task<int> be_traced(App::Worker& self) {
    if (self.id() != 1) {
        co_await self.until_stopping();
        co_return 0;
    }
    const bool is_traced = begin_tracing();
    co_await say(self, is_traced ? "traced" : "not possible here");
    co_return 3;
}

} // namespace

TEST_CASE("a worker whose status its tracer keeps has ended all the same, and nobody waits or spins for it") {
    REQUIRE(::pipe(tracing) == 0);
    Options options = permanent_options();
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(be_traced);
        const auto said = co_await mail(app);
        if (said.message.text == "traced") {
            const Event end = co_await end_of(app, 1);
            CHECK(end.status == ExitStatus::unknown());
            const Event next_one = co_await next(app, WorkerState::online);
            CHECK(next_one.worker == 2);
            const auto before = detail::cpu_time(::getpid());
            co_await pause(app.context(), 300ms);
            CHECK(*detail::cpu_time(::getpid()) - *before < 150ms);
        } else {
            MESSAGE("skipped: " << said.message.text);
        }
        const auto begin = std::chrono::steady_clock::now();
        co_await app.stop();
        CHECK(std::chrono::steady_clock::now() - begin < 5s);
        ::close(tracing[1]);
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (has_children() && std::chrono::steady_clock::now() < deadline) co_await pause(app.context(), 10ms);
        CHECK_FALSE(has_children()); // not even one that has ended
    });
    ::close(tracing[0]);
}
