// SPDX-License-Identifier: MIT
// A worker's own end: how a body ends its process, and that nothing it said before is lost.
#include <cohort/worker.hpp>

#include <asio/io_context.hpp>

#include <cohort/run.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace test;

namespace {

constexpr int words = 300;

Task<> talk(App::Worker& self) {
    for (int i = 0; i < words; ++i) co_await say(self, "word", i);
}
Task<> talk_and_return(App::Worker& self) { co_await talk(self); }
Task<int> talk_and_return_code(App::Worker& self) {
    co_await talk(self);
    co_return 3;
}
Task<> talk_and_exit(App::Worker& self) {
    co_await talk(self);
    co_await self.exit(4);
}
Task<> talk_and_std_exit(App::Worker& self) {
    co_await talk(self);
    std::exit(5);
}
Task<> talk_and_throw(App::Worker& self) {
    co_await talk(self);
    throw std::runtime_error("out of luck");
}
Task<> talk_and_crash(App::Worker& self) {
    co_await talk(self);
    co_await self.flush();
    ::raise(SIGKILL);
}
Task<> talk_without_waiting(App::Worker& self) {
    const Note note{std::string(1'000, 'x'), 0};
    for (int i = 0; i < 2'000; ++i) (void)self.send(note); // 2 MB that nobody has read when the body returns
    co_return;
}

struct Ending {
    ExitStatus status = ExitStatus::exited(0);
    int words_in_order = 0;
};

/// Looks for messages only after the exited event has come.
template <auto Body>
Ending ending_of() {
    static Ending ending;
    ending = {};
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(Body);
        const Event end = co_await end_of(app, worker);
        ending.status = *end.status;
        while (const auto one = co_await app.receive())
            ending.words_in_order += one->message.number == ending.words_in_order;
    });
    return ending;
}

TEST_CASE("messages sent before a worker ends are there before its exited event, however it ends") {
    SUBCASE("the body returns") {
        const Ending ending = ending_of<talk_and_return>();
        CHECK(ending.status.code() == 0);
        CHECK(ending.words_in_order == words);
    }
    SUBCASE("the body returns a code") {
        const Ending ending = ending_of<talk_and_return_code>();
        CHECK(ending.status.code() == 3);
        CHECK(ending.words_in_order == words);
    }
    SUBCASE("Worker::exit") {
        const Ending ending = ending_of<talk_and_exit>();
        CHECK(ending.status.code() == 4);
        CHECK(ending.words_in_order == words);
    }
    SUBCASE("std::exit") {
        const Ending ending = ending_of<talk_and_std_exit>();
        CHECK(ending.status.code() == 5);
        CHECK(ending.words_in_order == words);
    }
    SUBCASE("the body throws") {
        const Ending ending = ending_of<talk_and_throw>();
        CHECK(ending.status.code() == 1);
        CHECK(ending.words_in_order == words);
    }
    SUBCASE("a crash, after flush()") {
        const Ending ending = ending_of<talk_and_crash>();
        CHECK(ending.status.signal() == SIGKILL);
        CHECK(ending.words_in_order == words);
    }
}

TEST_CASE("megabytes sent right before the end arrive, while the master reads") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(talk_without_waiting);
        int received = 0;
        while (const auto one = co_await app.receive()) received += one->message.text.size() == 1'000;
        CHECK(received == 2'000);
        const Event end = co_await next(app, WorkerState::exited);
        CHECK(end.status->code() == 0);
    });
}

/// The cluster of a helper, whose output the test reads.
template <auto Body>
int run_one() {
    int code = 119;
    asio::io_context io(1);
    App app(io, plain_options());
    app.spawn(Body);
    spawn(io, [](App& a, int& c) -> Task<> {
        const Event end = co_await next(a, WorkerState::exited);
        c = end.status->code().value_or(118);
    }(app, code));
    io.run_for(limit);
    return code;
}

Task<int> print_much(App::Worker&) {
    for (int i = 0; i < 5'000; ++i) std::cout << std::string(99, 'x') << '\n';
    std::printf("from stdio\n");
    std::cout << "the last line";
    co_return 7;
}
Task<> print_and_exit(App::Worker& self) {
    std::cout << "before exit";
    co_await self.exit(8);
}

TEST_CASE("500 kB of output and the last line without an end are written when a worker ends") {
    Helper helper(run_one<print_much>);
    const std::string output = helper.rest();
    CHECK(helper.wait().code() == 7);
    CHECK(output.size() == 500'000 + std::string("from stdio\n").size() + std::string("the last line").size());
    CHECK(output.find("from stdio\n") != output.npos);
    CHECK(output.find("the last line") != output.npos);
    Helper other(run_one<print_and_exit>);
    CHECK(other.rest() == "before exit");
    CHECK(other.wait().code() == 8);
}

/// Its child ends as any program does.
Task<> fork_and_wait(App::Worker& self) {
    self.at_exit([] { [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, "at exit\n", 8); });
    const pid_t child = ::fork();
    if (child == 0) std::exit(0);
    ::waitpid(child, nullptr, 0);
    co_return;
}

TEST_CASE("what a worker does at its exit is not done by a child that it has forked") {
    Helper helper(run_one<fork_and_wait>);
    CHECK(helper.rest() == "at exit\n");
    CHECK(helper.wait().code() == 0);
}

constexpr int kept = 2'000;

/// More than the master has read, so that most of it is still here when the child begins.
void queue_words(App::Worker& self) {
    const Note note{std::string(1'000, 'x'), 0};
    for (int i = 0; i < kept; ++i) (void)self.send(note);
}
Task<> copy_exits(App::Worker& self) {
    queue_words(self);
    const pid_t child = ::fork();
    if (child == 0) std::exit(0);
    ::waitpid(child, nullptr, 0);
    co_return;
}
Task<> copy_ends_as_a_worker(App::Worker& self) {
    queue_words(self);
    const pid_t child = ::fork();
    if (child == 0) co_await self.exit(0);
    ::waitpid(child, nullptr, 0);
}
Task<> copy_returns(App::Worker& self) {
    queue_words(self);
    const pid_t child = ::fork();
    if (child != 0) ::waitpid(child, nullptr, 0);
    co_return;
}
Task<> copy_sends(App::Worker& self) {
    queue_words(self);
    const pid_t child = ::fork();
    if (child == 0) {
        queue_words(self);
        self.disconnect();
        std::exit(0);
    }
    ::waitpid(child, nullptr, 0);
    co_return;
}
/// What it opens next does not get the number of a descriptor that is written to.
Task<> copy_writes_a_file(App::Worker& self) {
    queue_words(self);
    const pid_t child = ::fork();
    if (child == 0) {
        const int file = ::memfd_create("of the child", 0);
        queue_words(self);
        struct stat status {};
        ::_exit(::fstat(file, &status) == 0 && status.st_size == 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) throw std::logic_error("messages in the child's file");
    co_return;
}

TEST_CASE("a child that a worker has forked sends nothing of what the worker has queued, however it ends") {
    for (auto* const body : {&copy_exits, &copy_ends_as_a_worker, &copy_returns, &copy_sends, &copy_writes_a_file}) {
        static auto* its_body = body;
        its_body = body;
        in_master<App>(plain_options(), [](App& app) -> Task<> {
            const WorkerId worker = app.spawn(its_body);
            int received = 0;
            while (const auto one = co_await app.receive()) received += one->message.text.size() == 1'000;
            CHECK(received == kept);
            const Event end = co_await end_of(app, worker);
            CHECK(end.status == ExitStatus::exited(0));
            CHECK_FALSE(end.error);
        });
    }
}

/// Ends by SIGPIPE unless that is ignored.
constexpr const char* program_with_default_action = "kill -PIPE $$; exit 3";

int execute() {
    const pid_t child = ::fork();
    if (child == 0) {
        ::execl("/bin/sh", "sh", "-c", program_with_default_action, nullptr);
        ::_exit(4);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
/// It writes to a pipe that nobody reads, and lives; what it executes does not.
Task<int> write_to_broken_pipe(App::Worker&) {
    int ends[2];
    if (::pipe(ends) != 0) co_return 1;
    ::close(ends[0]);
    if (::write(ends[1], "x", 1) != -1 || errno != EPIPE) co_return 2;
    co_return execute();
}

TEST_CASE("a broken pipe does not end a worker, but what it executes, as anywhere else") {
    const auto in_worker = ending_of<write_to_broken_pipe>();
    CHECK(in_worker.status.code() == SIGPIPE);
    struct Run {
        static Task<> watch(App& app) {
            const int signal = execute();
            std::printf("%d\n", signal);
            std::fflush(stdout);
            spawn(app.context(), app.stop());
            co_return;
        }
    };
    Helper master([] { return run<App>(plain_options(), &Run::watch, idle); });
    CHECK(master.line() == std::to_string(SIGPIPE));
    CHECK(master.wait().code() == 0);
}

TEST_CASE("what the master had not written yet at the fork is written once") {
    Helper helper([] {
        std::cout << "half a line, ";
        std::printf("and the other half");
        return run_one<print_and_exit>();
    });
    CHECK(helper.rest() == "half a line, and the other halfbefore exit");
    CHECK(helper.wait().code() == 8);
}

TEST_CASE("a worker whose body throws says why on standard error") {
    Helper helper([] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        return run_one<talk_and_throw>();
    });
    CHECK(helper.line() == "cohort: worker 1: out of luck");
    CHECK(helper.line().value_or("").starts_with("cohort: worker 1 in slot 0 (process "));
    CHECK(helper.rest().empty());
    CHECK(helper.wait().code() == 1);
}

Task<int> decide_about_exceptions(App::Worker& self) {
    int code = 0;
    try {
        co_await talk_and_throw(self);
    } catch (const std::runtime_error&) {
        code = 42;
    }
    co_return code;
}
/// What it has started beside itself throws.
Task<> decide_about_exceptions_beside(App::Worker& self) {
    spawn(self.context(), talk_and_throw(self), [&self](std::exception_ptr error) {
        if (error) spawn(self.context(), self.exit(42));
    });
    co_await self.until_stopping();
}

TEST_CASE("whoever handles a worker's exception decides its exit code") {
    for (const auto& ending : {ending_of<decide_about_exceptions>(), ending_of<decide_about_exceptions_beside>()}) {
        CHECK(ending.status.code() == 42);
        CHECK(ending.words_in_order == words);
    }
}

Task<> tell_who(App::Worker& self) {
    co_await say(self, is_worker() && !is_master() ? "worker" : "master", self.pid());
    co_await say(self, self.connected() ? "connected" : "alone", self.stopping());
}

TEST_CASE("a worker knows that it is one, and its process") {
    CHECK(is_master());
    CHECK_FALSE(is_worker());
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(tell_who);
        const pid_t pid = app.workers().at(0).pid;
        const auto role = co_await mail(app);
        CHECK(role.message.text == "worker");
        CHECK(role.message.number == pid);
        const auto state = co_await mail(app);
        CHECK(state.message.text == "connected");
        CHECK(state.message.number == 0);
        CHECK(is_master());
    });
}

} // namespace
