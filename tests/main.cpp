// SPDX-License-Identifier: MIT
// The test program: doctest's main, a deadline for the whole process, and a check that no child outlives the tests.

// doctest's own signal handlers would be inherited by the processes that tests fork.
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS
#define DOCTEST_CONFIG_IMPLEMENT
#include "support/exec_worker.hpp"

#include <cohort/detail/upgrade/old_master.hpp>
#include <cohort/master_base.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

const pid_t test_process = ::getpid();
const char* volatile current_test = "(none)";
std::string first_to_leave_a_child;
bool nothing_selected = false;

bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// doctest tells it where a run stands.
struct Watch final : doctest::IReporter {
    explicit Watch(const doctest::ContextOptions&) {}

    void test_case_start(const doctest::TestCaseData& test) override {
        if (::getpid() != test_process) {
            std::fprintf(stderr, "a forked child went on to the next test: it must end by _exit\n");
            ::_exit(125);
        }
        current_test = test.m_name;
    }
    void test_case_end(const doctest::CurrentTestCaseStats&) override {
        if (first_to_leave_a_child.empty() && has_children()) first_to_leave_a_child = current_test;
    }
    void test_run_end(const doctest::TestRunStats& run) override {
        nothing_selected = run.numTestCasesPassingFilters == 0;
    }

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};

void say(const char* text) { [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text)); }

/// Only what a signal handler may call: the kernel lists our children as decimal numbers with a blank after each.
void kill_children() {
    const int fd = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    pid_t pid = 0;
    for (char digit = 0; ::read(fd, &digit, 1) == 1;) {
        if (digit >= '0' && digit <= '9') {
            pid = pid * 10 + (digit - '0');
        } else {
            if (pid > 1) ::kill(pid, SIGKILL);
            pid = 0;
        }
    }
    ::close(fd);
}

void on_deadline(int) {
    say("deadline passed in test: ");
    say(current_test);
    say("\n");
    kill_children();
    ::_exit(124);
}

#if !defined(COHORT_SANITIZED) // a sanitizer has handlers of its own
void on_crash(int signal) {
    if (::getpid() == test_process) {
        say("crashed in test: ");
        say(current_test);
        say("\n");
    }
    ::raise(signal);
}
#endif

void handle(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    ::sigaction(signal, &action, nullptr);
}

unsigned deadline_seconds() {
    const char* text = std::getenv("COHORT_TEST_DEADLINE");
    const int seconds = text == nullptr ? 0 : std::atoi(text);
    return seconds > 0 ? static_cast<unsigned>(seconds) : 900;
}

} // namespace

#if defined(COHORT_SANITIZED)
namespace test {
bool leaks_in_children = false;
pid_t tester = 0;
} // namespace test

/// LeakSanitizer's own hook (sanitizer/lsan_interface.h). It stops the process for as long as a busy machine needs,
/// which tests of what workers do at their end have no time for; tests/cohort/worker/tool_chain.cpp asks for it.
extern "C" int __lsan_is_turned_off() { return ::getpid() != test::tester && !test::leaks_in_children ? 1 : 0; }
#endif

REGISTER_LISTENER("watch", 1, Watch);

int main(int argc, char** argv) {
    if (cohort::is_worker()) return test::run_exec_worker(argc, argv);
    if (cohort::detail::pending_upgrade) return test::run_next_master();
#if defined(COHORT_SANITIZED)
    test::tester = ::getpid();
#endif
    handle(SIGPIPE, SIG_IGN);
    handle(SIGALRM, on_deadline);
#if !defined(COHORT_SANITIZED)
    handle(SIGSEGV, on_crash);
    handle(SIGABRT, on_crash);
#endif
    ::alarm(deadline_seconds()); // a forked child does not inherit it

    doctest::Context context(argc, argv);
    int result = context.run();
    if (context.shouldExit()) return result;

    if (nothing_selected) {
        std::fprintf(stderr, "no test matches the filter\n");
        result = 1;
    }
    if (has_children()) {
        std::fprintf(stderr, "a child process is left; the first test after which there was one: %s\n",
                     first_to_leave_a_child.c_str());
        kill_children();
        result = 1;
    }
    return result;
}
