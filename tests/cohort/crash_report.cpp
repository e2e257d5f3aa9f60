// SPDX-License-Identifier: MIT
#include <cohort/crash_report.hpp>

#include <doctest/doctest.h>

#include <csignal>

using namespace cohort;

TEST_CASE("a report as people read it: what is not known is not there, and nothing in it moves a cursor") {
    CrashReport report;
    report.worker = 7;
    report.slot = 3;
    report.pid = 4711;
    report.status = ExitStatus::signaled(SIGSEGV, true);
    report.uptime = std::chrono::milliseconds(1'500);
    report.requests = 12;
    CHECK(report.describe() == "1970-01-01T00:00:00.000000Z worker 7 in slot 3 (process 4711, generation 0) killed by "
                               "SIGSEGV (core dumped) after 1500 ms\n"
                               "requests begun: 12\n");
    report.reason = "stuck";
    report.doing = "a \x1b[31mred job";
    report.core = "/var/core.4711";
    report.unanswered = {{.worker = 7, .slot = 3, .age = std::chrono::milliseconds(20), .what = "GET /a\nb"},
                         {.what = "job", .client = "127.0.0.1:1"},
                         {}};
    report.lines = {"one", "two\rthree"};
    report.backtrace = {"main"};
    const std::string text = report.describe();
    CHECK(text.substr(text.find('\n')) == "\nreason: stuck\n"
                                          "doing: a \\x1b[31mred job\n"
                                          "core: /var/core.4711\n"
                                          "requests begun: 12\n"
                                          "not answered:\n"
                                          "    GET /a\\x0ab, for 20 ms\n"
                                          "    job, for 0 ms, from 127.0.0.1:1\n"
                                          "    (not said), for 0 ms\n"
                                          "backtrace:\n"
                                          "    main\n"
                                          "last lines:\n"
                                          "    one\n"
                                          "    two\\x0dthree\n");
}
