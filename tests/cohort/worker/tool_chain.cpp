// SPDX-License-Identifier: MIT
// What a program, or the tool chain that built it, has set for crashes and for the end of a process works in workers.
#include <cohort/worker.hpp>

#include <asio/io_context.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

using namespace test;

#if defined(COHORT_SANITIZED)
namespace test {
extern bool leaks_in_children; // tests/main.cpp
}
#endif

namespace {

/// Says that it was called and lets the process end as it would have.
void report(int signal) {
    char text[] = "handler of .., crash\n";
    text[11] = static_cast<char>('0' + signal / 10);
    text[12] = static_cast<char>('0' + signal % 10);
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text, sizeof text - 1);
    ::raise(signal);
}
std::string report_of(int signal) {
    const std::string number = std::to_string(signal);
    return "handler of " + std::string(2 - number.size(), '0') + number + ", crash";
}

/// On a stack of its own, so that it also works when the stack is used up.
void set_handler(int signal) {
    static char stack[64 << 10];
    stack_t own_stack{};
    own_stack.ss_sp = stack;
    own_stack.ss_size = sizeof stack;
    ::sigaltstack(&own_stack, nullptr);
    struct sigaction action {};
    action.sa_handler = report;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_ONSTACK | SA_NODEFER;
    ::sigaction(signal, &action, nullptr);
}

int crash_signal = 0;

Task<> crash(App::Worker& self) {
    co_await say(self, "crashing");
    ::raise(crash_signal);
}
Task<> set_handler_and_crash(App::Worker& self) {
    set_handler(crash_signal);
    co_await crash(self);
}
/// A real fault.
Task<> read_what_is_not_there(App::Worker&) {
    void* const page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const int value = *static_cast<volatile int*>(page);
    std::printf("%d", value);
    co_return;
}
Task<int> use_up_stack(App::Worker&) {
    struct Run {
        static int deeper(volatile char* above, int depth) { // NOLINT(misc-no-recursion)
            volatile char here[4096];
            here[0] = *above;
            return depth == 0 ? 0 : deeper(here, depth - 1) + here[0];
        }
    };
    volatile char begin = 0;
    co_return Run::deeper(&begin, 1 << 20);
}

/// The signal that the worker ended by; what it wrote is on the helper's output.
template <auto Body>
int run_one(bool handled_before, bool liveness = false) {
    if (handled_before) set_handler(crash_signal);
    static int signal = 0;
    Options options = plain_options();
    if (liveness) options.liveness = {.interval = 20ms, .slow_after = 50ms, .timeout = 100ms, .kill_after = limit};
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(Body);
        const Event end = co_await next(app, WorkerState::exited);
        signal = end.status->signal().value_or(0);
    });
    return signal;
}

template <auto Body>
void check_crash(int signal, bool handled_before, bool liveness = false) {
    crash_signal = signal;
    CAPTURE(signal);
    CAPTURE(handled_before);
    Helper helper([&] { return run_one<Body>(handled_before, liveness); });
    const std::string said = helper.rest();
    const auto first = said.find(report_of(signal));
    CHECK_MESSAGE(first != said.npos, said);
    CHECK_MESSAGE(said.rfind(report_of(signal)) == first, said); // once, and in the worker only
    if (liveness) CHECK_MESSAGE(said.find("is aborted") < first, said);
    CHECK(helper.wait().code() == signal);
}

TEST_CASE("a crash handler that was set before the master, or in the worker's body, is called in the worker") {
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) {
        check_crash<crash>(signal, true);
        check_crash<set_handler_and_crash>(signal, false);
    }
    check_crash<read_what_is_not_there>(SIGSEGV, true);
    check_crash<use_up_stack>(SIGSEGV, true);
}

TEST_CASE("the handler of an abort is called behind the report of a worker that is stuck") {
    check_crash<spin<App::Worker>>(SIGABRT, true, true);
}

#if defined(COHORT_SANITIZED)

Task<> overflow(App::Worker&) {
    auto* const bytes = new char[8];
    volatile int index = 8;
    bytes[index] = 'x';
    delete[] bytes;
    co_return;
}
void leak() {
    for (int i = 0; i < 4; ++i) { // a register may still have the last one
        char* volatile lost = new char[4321];
        lost[0] = 'x';
    }
}
Task<> leak_and_return(App::Worker&) {
    leak();
    co_return;
}
Task<> leak_and_exit(App::Worker& self) {
    leak();
    co_await self.exit(0);
}
Task<int> leak_and_fail(App::Worker&) {
    leak();
    co_return 3;
}
Task<> be_clean(App::Worker& self) {
    co_await say(self, "clean");
    co_await self.until_stopping();
}

template <auto Body>
int code_of_one() {
    static int code = 0;
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(Body);
        co_await next(app, WorkerState::online);
        app.disconnect(worker);
        const Event end = co_await next(app, WorkerState::exited);
        code = end.status->code().value_or(99);
    });
    return code;
}

template <auto Body>
void check_report(const std::string& report, int code) {
    Helper helper([] {
        test::leaks_in_children = true;
        return code_of_one<Body>();
    });
    const std::string said = helper.rest();
    CHECK_MESSAGE((said.find(report) != said.npos || report.empty()), said);
    if (report.empty()) CHECK_MESSAGE(said.find("Sanitizer") == said.npos, said);
    CHECK(helper.wait().code() == code);
}

TEST_CASE("what AddressSanitizer and LeakSanitizer find in a worker is on its standard error and in its exit code") {
    check_report<overflow>("heap-buffer-overflow", 1);
    check_report<leak_and_return>("LeakSanitizer: detected memory leaks", 23);
    check_report<leak_and_exit>("LeakSanitizer: detected memory leaks", 23);
    check_report<leak_and_fail>("LeakSanitizer: detected memory leaks", 3);
    check_report<be_clean>("", 0);
}

int go[2];

Task<> end_when_told(App::Worker& self) {
    std::printf("here is %d\n", ::getpid());
    std::fflush(stdout);
    char told = 0;
    while (::read(go[0], &told, 1) < 0) {
    }
    co_await self.exit(0);
}

int master_of_one_that_ends() {
    test::leaks_in_children = true;
    Options options = plain_options();
    options.grace = std::chrono::minutes(10); // after which the worker would be ended in any case
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(end_when_told);
        while (const auto event = co_await app.next_event()) {
        }
    });
    return 0;
}

TEST_CASE("a worker whose master dies while it looks for leaks ends") {
    for (int i = 0; i < 10; ++i) {
        REQUIRE(::pipe(go) == 0);
        Helper master(master_of_one_that_ends);
        const Watched worker(master.number_after("here is "));
        REQUIRE(::write(go[1], "!", 1) == 1);
        master.signal(SIGKILL);
        CHECK(worker.ends_within(std::chrono::seconds(20)));
        master.wait();
        for (const int end : go) ::close(end);
    }
}

#endif

} // namespace
