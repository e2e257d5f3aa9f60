// SPDX-License-Identifier: MIT
#include <cohort/detail/worker/abort_report.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <csignal>
#include <cstdlib>
#include <string>

#include <fcntl.h>

using namespace cohort::detail;

namespace {

struct Report {
    int ended = 0; // as test::wait_for says
    std::string text;
};

/// What a child writes to standard error that is worker 7 in slot 3 and does this.
template <class Body>
Report report_of(Body body) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const pid_t child = test::fork_child([&] {
        ::dup2(ends[1], STDERR_FILENO);
        ::signal(SIGABRT, SIG_DFL); // not the test framework's
        static WorkerCell cell{};
        cell.begun = 12;
        cell.ended = 10;
        static RequestTable table{};
        AbortReport::install(7, 3, cell, table);
        body();
        return 0;
    });
    ::close(ends[1]);
    Report report;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        report.text.append(buffer, static_cast<std::size_t>(count));
    ::close(ends[0]);
    report.ended = test::wait_for(child);
    return report;
}

std::string first_line(const Report& report) { return report.text.substr(0, report.text.find('\n')); }

} // namespace

TEST_CASE("a process that is aborted says who it is, what it had to do and where it was, and ends as any other") {
    const auto reports = {report_of([] { std::abort(); }), report_of([] { ::kill(::getpid(), SIGABRT); })};
    for (const auto& report : reports) {
        CHECK(report.ended == -SIGABRT);
        CHECK(first_line(report) == "cohort: worker 7 (slot 3) is aborted: 12 requests begun, 10 ended");
        CHECK(AbortReport::is_begin(first_line(report), 7));
        CHECK_FALSE(AbortReport::is_begin(first_line(report), 70));
        CHECK_MESSAGE(report.text.find("[0x") != std::string::npos, report.text);
    }
}

TEST_CASE("what it was doing is the last note, cut when it is too long") {
    const auto report = report_of([] {
        AbortReport::set_doing("something before that was rather longer");
        AbortReport::set_doing("GET /slow");
        std::abort();
    });
    CHECK(first_line(report).ends_with("10 ended; doing: GET /slow"));
    const auto cut = report_of([] {
        AbortReport::set_doing(std::string(500, 'x'));
        std::abort();
    });
    CHECK(first_line(cut).ends_with(" doing: " + std::string(127, 'x')));
}

TEST_CASE("who is not aborted says nothing") {
    const auto report = report_of([] { AbortReport::set_doing("all is well"); });
    CHECK(report.ended == 0);
    CHECK(report.text.empty());
}
