// SPDX-License-Identifier: MIT
// Workers that do not respond, or do not become ready: found, ended, and followed by another.
#include <cohort/detail/supervise/health_monitor.hpp>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_awaitable.hpp>

#include "support/client.hpp"
#include "support/exec_worker.hpp"
#include "support/process.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <thread>

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

using namespace test;

namespace {

Options watchful_options() {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.liveness = {.interval = 20ms, .slow_after = 100ms, .timeout = 400ms, .kill_after = 200ms};
    return options;
}

/// Where workers write what they would write to standard error.
class ErrorPipe {
public:
    ErrorPipe() {
        if (::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe2");
    }
    ErrorPipe(const ErrorPipe&) = delete;
    ErrorPipe& operator=(const ErrorPipe&) = delete;
    ~ErrorPipe() {
        for (const int end : ends_) ::close(end);
    }
    void use() const { ::dup2(ends_[1], STDERR_FILENO); }
    std::string text() const {
        std::string all;
        std::array<char, 4096> buffer{};
        for (ssize_t count = 0; (count = ::read(ends_[0], buffer.data(), buffer.size())) > 0;)
            all.append(buffer.data(), static_cast<std::size_t>(count));
        return all;
    }

private:
    std::array<int, 2> ends_{};
};
const ErrorPipe& errors() {
    static const ErrorPipe pipe;
    return pipe;
}

/// The first worker stands still; its successor says that it is there.
Task<> count_sheep_once(App::Worker& self) {
    if (self.id() > 1) {
        co_await say(self, "awake");
        co_await self.until_stopping();
        co_return;
    }
    errors().use();
    self.doing("sleeping like a log, for a long time");
    self.doing("counting sheep");
    const auto first = self.begin_request();
    { const auto second = self.begin_request(); }
    co_await spin(self);
}

TEST_CASE("a worker in an endless loop is aborted, says where and what it was doing, and has a successor") {
    errors(); // before the fork
    in_master<App>(watchful_options(), [](App& app) -> Task<> {
        app.spawn(count_sheep_once);
        const Event end = co_await end_of(app, 1);
        CHECK(end.status->signal() == SIGABRT);
        CHECK(end.error == Errc::unresponsive);
        CHECK_FALSE(end.voluntary);
        const std::string said = errors().text();
        CHECK_MESSAGE(said.starts_with("cohort: worker 1 (slot 0) is aborted: 2 requests begun, 1 ended; doing: "
                                       "counting sheep\n"),
                      said);
        CHECK_MESSAGE(std::ranges::count(said, '\n') > 3, said); // the frames
        CHECK_MESSAGE(said.find("[0x") != std::string::npos, said);
        for (;;) {
            const auto note = co_await mail(app);
            if (note.message.text != "awake") continue;
            CHECK(note.from == 2);
            break;
        }
    });
}

TEST_CASE("a stopped worker is replaced within its timeout and a second") {
    Options options = watchful_options();
    options.liveness.interval = 1s;
    options.liveness.timeout = 1s;
    options.liveness.kill_after = 1s;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        app.spawn(idle);
        for (int i = 0; i < 2; ++i) co_await next(app, WorkerState::online);
        const auto begin = std::chrono::steady_clock::now();
        ::kill(app.workers().at(0).pid, SIGSTOP);
        const Event end = co_await end_of(app, 1);
        CHECK(end.error == Errc::unresponsive);
        const Event online = co_await next(app, WorkerState::online);
        CHECK(online.worker == 3);
        CHECK(online.slot == 0);
        CHECK(std::chrono::steady_clock::now() - begin >= 900ms); // the last beat may have been a moment before
        CHECK(std::chrono::steady_clock::now() - begin < 3s);
        CHECK(app.workers().at(0).id == 2);
    });
}

Task<> ignore_all(App::Worker& self) {
    for (const int signal : {SIGABRT, SIGTERM, SIGCONT}) ::signal(signal, SIG_IGN);
    co_await spin(self);
}

TEST_CASE("a stuck worker that does not care about SIGABRT is killed") {
    Options options = watchful_options();
    options.restart = Restart::temporary;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(ignore_all);
        const Event end = co_await end_of(app, 1);
        CHECK(end.status->signal() == SIGKILL);
        CHECK(end.error == Errc::unresponsive);
    });
}

Task<> stumble(App::Worker& self) {
    for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(250ms); // longer than slow, shorter than stuck
        co_await pause(self.context(), 60ms);
    }
    co_await say(self, "done");
    co_await self.until_stopping();
}

TEST_CASE("a worker that is slow but alive is seen to be slow, and lives") {
    in_master<App>(watchful_options(), [](App& app) -> Task<> {
        app.spawn(stumble);
        while (!app.workers().at(0).slow) co_await pause(app.context(), 1ms);
        while (app.workers().at(0).slow) co_await pause(app.context(), 1ms);
        const auto note = co_await mail(app);
        CHECK(note.from == 1);
        CHECK(app.workers().at(0).id == 1);
    });
}

TEST_CASE("a master that was stopped itself does not blame its workers") {
    in_master<App>(watchful_options(), [](App& app) -> Task<> {
        app.spawn(idle);
        co_await next(app, WorkerState::online);
        const pid_t worker = app.workers().at(0).pid;
        for (int i = 0; i < 2; ++i) {
            ::kill(worker, SIGSTOP);
            std::this_thread::sleep_for(600ms); // as when everything is stopped, and continued master first
            co_await pause(app.context(), 30ms);
            ::kill(worker, SIGCONT);
            co_await pause(app.context(), 30ms);
        }
        co_await app.stop();
        const Event end = co_await end_of(app, 1);
        CHECK(end.status->success());
        CHECK_FALSE(end.error);
    });
}

TEST_CASE("without heartbeats nobody is found to be stuck") {
    Options options = watchful_options();
    options.liveness.interval = 0ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(spin<App::Worker>);
        co_await mail(app);
        co_await pause(app.context(), 700ms);
        CHECK(app.workers().at(0).id == 1);
        CHECK_FALSE(app.workers().at(0).slow);
        app.kill_all();
        const Event end = co_await end_of(app, 1);
        CHECK(end.status->signal() == SIGKILL);
    });
}

/// A program of its own, with options of its own: it does not know how often it is to beat.
Task<> spin_when_told(App::Worker& self) {
    const auto note = co_await self.receive();
    co_await spin(self);
}
int start_spinner() {
    asio::io_context io(1);
    App app(io, plain_options());
    app.spawn(spin_when_told);
    return 120;
}
const ExecWorker spinner("exec-spinner", start_spinner);

Options exec_options(std::string program, std::string argument) {
    Options options = watchful_options();
    options.restart = Restart::temporary;
    options.spawn = Spawn::exec;
    options.worker.program = std::move(program);
    options.worker.args = {std::move(argument)};
    return options;
}

TEST_CASE("a program started anew beats as its master wants it, and is found when it does not") {
    in_master<App>(exec_options("/proc/self/exe", "exec-spinner"), [](App& app) -> Task<> {
        app.spawn(spin_when_told);
        co_await next(app, WorkerState::online);
        co_await pause(app.context(), 700ms); // longer than it may be silent
        CHECK_FALSE(app.workers().at(0).slow);
        co_await tell(app, 1, "spin");
        const Event end = co_await end_of(app, 1);
        CHECK(end.error == Errc::unresponsive);
        CHECK(end.status->signal() == SIGABRT);
    });
}

TEST_CASE("a program that is no worker of a cluster is never ready") {
    Options options = exec_options("/bin/sleep", "60");
    options.boot_timeout = 100ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(idle);
        const Event end = co_await end_of(app, 1);
        CHECK(end.error == Errc::not_ready);
        CHECK(end.status->signal() == SIGKILL);
    });
}

/// Announces nothing.
Task<> never_ready(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    co_await self.until_stopping();
}

TEST_CASE("a worker that does not become ready in time is killed, and its slot given up in the end") {
    Options options = watchful_options();
    options.readiness = Readiness::announced;
    options.boot_timeout = 50ms;
    options.backoff = {.stable = 1ms, .at_once = 5, .failed_starts = 3};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(never_ready);
        for (WorkerId worker = 1; worker <= 3; ++worker) {
            const auto begin = std::chrono::steady_clock::now();
            const Event end = co_await end_of(app, worker);
            CHECK(std::chrono::steady_clock::now() - begin >= 40ms);
            CHECK(end.status->signal() == SIGKILL);
            CHECK(end.error == Errc::not_ready);
            CHECK_FALSE(end.voluntary);
        }
        const auto none = co_await app.next_event();
        CHECK_FALSE(none);
        CHECK(app.has_given_up());
    });
}

/// Is ready when it is told to be.
Task<> ready_in_time(App::Worker& self) {
    co_await self.receive();
    self.ready();
    co_await self.until_stopping();
}

TEST_CASE("a worker that became ready in time may live on") {
    Options options = watchful_options();
    options.readiness = Readiness::announced;
    options.boot_timeout = 600ms;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(ready_in_time);
        co_await tell(app, 1, "be ready");
        co_await pause(app.context(), 900ms); // longer than it might have taken
        CHECK(app.workers().at(0).id == 1);
    });
}

Task<int> fail_at_once(App::Worker&) { co_return 1; }

TEST_CASE("eight slots whose workers crash again and again keep their master from nothing") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.backoff.failed_starts = 1'000;
    int starts = 0;
    options.hooks.before_fork = [&starts](unsigned) { ++starts; };
    in_master<App>(options, [&starts](App& app) -> Task<> {
        app.spawn(echo<App::Worker>);
        for (int i = 0; i < 8; ++i) app.spawn(fail_at_once);
        auto begin = cpu_time();
        for (int crashes = 0; crashes < 32; ++crashes) co_await next(app, WorkerState::exited);
        const auto start_takes = (cpu_time() - begin) / 32; // with all that the end of a worker costs, on this machine
        starts = 0;
        begin = cpu_time();
        co_await pause(app.context(), 1s);
        const auto took = cpu_time() - begin;
        CAPTURE(starts);
        CAPTURE(start_takes);
        CHECK(starts < 100);
#if !defined(COHORT_SANITIZED)
        CHECK(took < 20ms + 3 * (starts + 1) * start_takes);
        CHECK(took < 500ms);
#else
        CHECK(took > 0ns);
#endif
        CHECK(app.workers().at(0).id == 1);
    });
}

Task<> stand_still(App::Worker& self) {
    co_await say(self, "standing still");
    co_await hang(self);
}
/// As one that stops at a breakpoint before it listens.
Task<> start_slowly(App::Worker& self) { co_await stand_still(self); }

/// Master and debugger of one worker; false where ptrace(2) is not permitted.
bool debug(pid_t worker) { return ::ptrace(PTRACE_SEIZE, worker, nullptr, nullptr) == 0; }
void let_go(pid_t worker) {
    ::ptrace(PTRACE_INTERRUPT, worker, nullptr, nullptr);
    ::waitpid(worker, nullptr, 0);
    ::ptrace(PTRACE_DETACH, worker, nullptr, nullptr);
}

constexpr int not_permitted = 77;

/// What the master says is on the helper's output.
template <auto Body>
int be_debugged(const Options& options) {
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    static int code = 0;
    in_master<App>(options, [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(Body);
        co_await mail(app);
        const pid_t pid = app.workers().at(0).pid;
        if (!debug(pid)) {
            code = not_permitted;
            co_return;
        }
        // Longer than it may stand still, and until that has been noticed: the test ends this by SIGUSR1.
        asio::signal_set wish(app.context(), SIGUSR1);
        std::printf("debugged\n");
        std::fflush(stdout);
        co_await wish.async_wait(asio::use_awaitable);
        if (app.workers().size() != 1) throw std::logic_error("it was ended");
        let_go(pid);
        const Event end = co_await end_of(app, worker);
        std::printf("then signal %d: %s\n", end.status->signal().value_or(0), end.error.message().c_str());
    });
    return code;
}

template <auto Body>
void check_debugged(const Options& options, const std::string& end) {
    Helper helper([&] { return be_debugged<Body>(options); });
    const auto first = helper.line();
    if (!first) {
        CHECK(helper.wait().code() == not_permitted);
        MESSAGE("ptrace is not permitted here");
        return;
    }
    const std::string expected = "cohort: worker 1: stands still, but is being debugged by process " +
                                 std::to_string(helper.pid()) + ": not ended";
    auto line = first;
    while (line && line->find("debugged by") == line->npos) line = helper.line();
    CHECK(line == expected);
    std::this_thread::sleep_for(3 * options.liveness.timeout); // nothing is to happen
    helper.signal(SIGUSR1);
    const std::string rest = helper.rest();
    CHECK_MESSAGE(rest.find("debugged by") == rest.npos, rest); // said once
    CHECK_MESSAGE(rest.find("then " + end) != rest.npos, rest);
    CHECK(helper.wait().code() == 0);
}

TEST_CASE("a worker that a debugger holds is not ended, which is said once, and is when it is let go") {
    Options options = watchful_options();
    options.restart = Restart::temporary;
    check_debugged<stand_still>(options, "signal 6: the worker's event loop stood still");
    options.readiness = Readiness::announced;
    options.boot_timeout = 300ms;
    options.liveness.interval = 0ms;
    check_debugged<start_slowly>(options, "signal 9: the new worker did not become ready");
}

} // namespace
