// SPDX-License-Identifier: MIT
// What a master knows of workers that crash: CrashReport, as an event, a file and by the control socket.
#include <cohort/control.hpp>
#include <cohort/crash_report.hpp>

#include "support/logs.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace test;

namespace {

namespace fs = std::filesystem;

/// Does what it is told to, in the middle of a request.
Task<> end_badly(App::Worker& self) {
    const auto note = co_await self.receive();
    if (!note) co_return;
    self.doing("its worst");
    const auto request = self.begin_request("job 7");
    for (int i = 0; i != 60; ++i) write_line("line " + std::to_string(i), i % 2 == 0 ? STDOUT_FILENO : STDERR_FILENO);
    const int signal = static_cast<int>(note->number);
    if (note->text == "exit") std::exit(3);
    if (note->text == "hang") co_await hang(self);
    if (signal != SIGABRT) ::signal(signal, SIG_DFL); // not that of a sanitizer
    ::raise(signal);
}

Options crashing(const Log& log) {
    Options options;
    options.logs.emplace();
    options.logs->crash_reports = log.folder / "crashes";
    options = log.options(options);
    options.restart = Restart::temporary;
    options.worker.limits[RLIMIT_CORE] = {0, 0};
    return options;
}

/// Without a report that is still being written.
std::vector<std::string> files_in(const std::string& folder) {
    std::vector<std::string> files;
    if (!fs::exists(folder)) return files;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() != ".part") files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool has(const std::vector<std::string>& lines, const std::string& part) {
    return std::ranges::any_of(lines, [&part](const auto& line) { return line.find(part) != line.npos; });
}

struct Row {
    const char* text;
    int signal;
    const char* end;
};

} // namespace

TEST_CASE("a crash is told with what the worker did, had to answer and had written; in the event and in a file") {
    for (const Row& row : {Row{"", SIGSEGV, "SIGSEGV"}, Row{"", SIGABRT, "SIGABRT"}, Row{"", SIGKILL, "SIGKILL"},
                           Row{"hang", 0, "SIGABRT"}}) {
        CAPTURE(row.text);
        CAPTURE(row.signal);
        const bool is_stuck = row.signal == 0;
        const Log log;
        Options options = crashing(log);
        if (is_stuck) options.liveness = {.interval = 20ms, .slow_after = 100ms, .timeout = 400ms, .kill_after = 20s};
        in_master<App>(options, [&row, is_stuck](App& app) -> Task<> {
            app.spawn(end_badly);
            co_await tell(app, 1, row.text, row.signal);
            const Event event = co_await end_of(app, 1);
            REQUIRE(event.crash != nullptr);
            const CrashReport& report = *event.crash;
            CHECK(report.worker == 1);
            CHECK(report.pid == event.pid);
            CHECK(report.status == *event.status);
            CHECK(report.status.describe() == std::string("killed by ") + row.end);
            CHECK(report.reason.empty() == !is_stuck);
            CHECK(report.doing == "its worst");
            CHECK(report.requests == 1);
            REQUIRE(report.unanswered.size() == 1);
            CHECK(report.unanswered.front().what == "job 7");
            REQUIRE(report.lines.size() == CrashReport::most_lines);
            CHECK(has(report.lines, "line 59"));
            CHECK(report.core.empty());
            const bool is_aborted = std::string(row.end) == "SIGABRT";
            CHECK(report.backtrace.empty() == !is_aborted);
            if (is_aborted) CHECK(report.backtrace.front().ends_with("doing: its worst"));
            CHECK_FALSE(has(report.lines, "aborted"));
        });
        const auto files = files_in(options.logs->crash_reports);
        REQUIRE(files.size() == 1);
        CHECK(files.front().ends_with("-worker-1.txt"));
        const std::string text = text_of(files.front());
        CHECK(text.find(std::string(" killed by ") + row.end) != text.npos);
        CHECK(text.find("doing: its worst\n") != text.npos);
        CHECK(text.find("    job 7, for ") != text.npos);
        CHECK(text.find("    line 59\n") != text.npos);
        struct stat status {};
        REQUIRE(::stat(files.front().c_str(), &status) == 0);
        CHECK((status.st_mode & 0777U) == 0600U);
        REQUIRE(::stat(options.logs->crash_reports.c_str(), &status) == 0);
        CHECK((status.st_mode & 0077U) == 0U);
    }
}

TEST_CASE("an end that was wanted, or that the worker chose, is no crash") {
    const Log log;
    const Options options = crashing(log);
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i != 4; ++i) app.spawn(end_badly);
        co_await tell(app, 1, "exit");
        Event event = co_await end_of(app, 1);
        CHECK(event.crash == nullptr);
        app.kill(2, SIGKILL);
        event = co_await end_of(app, 2);
        CHECK(event.crash == nullptr);
        app.disconnect(3);
        event = co_await end_of(app, 3);
        CHECK(event.crash == nullptr);
        app.kill_all();
        event = co_await end_of(app, 4);
        CHECK(event.crash == nullptr);
    });
    CHECK(files_in(options.logs->crash_reports).empty());
}

TEST_CASE("a fault of a worker that is leaving is a crash all the same") {
    const auto crash_at_the_end = [](App::Worker& self) -> Task<> {
        co_await self.until_stopping();
        ::signal(SIGSEGV, SIG_DFL);
        ::raise(SIGSEGV);
    };
    in_master<App>(plain_options(), [crash_at_the_end](App& app) -> Task<> {
        app.spawn(crash_at_the_end);
        co_await next(app, WorkerState::online);
        app.disconnect(1);
        const Event event = co_await end_of(app, 1);
        REQUIRE(event.crash != nullptr);
        CHECK(event.crash->status.signal() == SIGSEGV);
        CHECK(event.crash->lines.empty()); // there is no log
    });
}

TEST_CASE("one that is not ready in time is ended, and told of with what it had begun") {
    const Log log;
    Options options = crashing(log);
    options.readiness = Readiness::announced;
    options.boot_timeout = 500ms;
    const auto begin_for_ever = [](App::Worker& self) -> Task<> {
        const auto request = self.begin_request("warm up");
        co_await self.until_stopping();
    };
    in_master<App>(options, [begin_for_ever](App& app) -> Task<> {
        app.spawn(begin_for_ever);
        const Event event = co_await end_of(app, 1);
        REQUIRE(event.crash != nullptr);
        CHECK(event.crash->reason == event.error.message());
        REQUIRE(event.crash->unanswered.size() == 1);
        CHECK(event.crash->unanswered.front().what == "warm up");
    });
}

namespace {

Task<> flood_and_abort(App::Worker& self) {
    co_await self.receive();
    for (int i = 0; i != 3'000; ++i) write_line(std::string(200, 'x'));
    write_line("the last", STDERR_FILENO);
    std::abort();
}

} // namespace

TEST_CASE("the last lines of a crash are in its report although the log does not keep up") {
    const Log log;
    const Options options = crashing(log);
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(flood_and_abort);
        REQUIRE(eventually([] { return log_writers().size() == 1; }));
        const pid_t writer = log_writers().front();
        ::kill(writer, SIGSTOP);
        co_await tell(app, 1, "go");
        const Event event = co_await end_of(app, 1);
        ::kill(writer, SIGCONT);
        REQUIRE(event.crash != nullptr);
        CHECK(has(event.crash->lines, "the last"));
        CHECK_FALSE(event.crash->backtrace.empty());
    });
    REQUIRE(files_in(options.logs->crash_reports).size() == 1);
    CHECK(text_of(files_in(options.logs->crash_reports).front()).find("    the last\n") != std::string::npos);
}

TEST_CASE("the last crashes can be asked for, as whoever steers sees them") {
    const Log log;
    Options options = crashing(log);
    options.restart = Restart::permanent;
    options.backoff.at_once = options.backoff.failed_starts = 100;
    options.control.path = log.folder / "control";
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(end_badly);
        auto client = co_await control::Client::connect(app.context().get_executor(), app.options().control.path);
        control::Crashes known = co_await client.crashes();
        CHECK(known.crashes.empty());
        constexpr WorkerId workers = 20;
        for (WorkerId worker = 1; worker <= workers; ++worker) {
            co_await tell(app, worker, "", SIGKILL);
            co_await end_of(app, worker);
            co_await next(app, WorkerState::online);
        }
        known = co_await client.crashes();
        REQUIRE(known.crashes.size() == 16);
        CHECK(known.crashes.front().report.worker == workers - 15);
        CHECK(known.crashes.back().report.worker == workers);
        CHECK(known.crashes.back().report.doing == "its worst");
        const control::Events events = co_await client.events(known.crashes.back().number);
        REQUIRE_FALSE(events.events.empty());
        CHECK(events.events.front().worker == workers);
        CHECK(events.events.front().kind == WorkerState::exited);
        co_await client.stop();
    });
    CHECK(files_in(options.logs->crash_reports).size() == 20);
}

TEST_CASE("a folder that cannot be is an error at the start; one that goes later keeps nobody from anything") {
    const Log log;
    Options options = crashing(log);
    const std::string folder = options.logs->crash_reports;
    std::ofstream(folder) << "a file";
    const auto start = [&options] {
        asio::io_context io(1);
        const App app(io, options);
    };
    CHECK(error_of(start) == std::errc::not_a_directory);
    fs::remove(folder);
    fs::create_directory(folder);
    fs::permissions(folder, fs::perms::all); // anybody could replace what is in it
    CHECK(error_of(start) == std::errc::operation_not_permitted);
    fs::remove(folder);
    in_master<App>(options, [&folder](App& app) -> Task<> {
        for (int i = 0; i != 3; ++i) app.spawn(end_badly);
        fs::remove(folder); // it is made again
        co_await tell(app, 1, "", SIGKILL);
        co_await end_of(app, 1);
        const auto is_there = [&folder] { return files_in(folder).size() == 1; };
        auto wait = until(app.context(), is_there);
        CHECK(co_await std::move(wait));
        fs::remove_all(folder);
        std::ofstream(folder) << "a file";
        co_await tell(app, 2, "", SIGKILL);
        co_await end_of(app, 2);
        co_await tell(app, 3, "exit");
        co_await end_of(app, 3);
    });
    const auto lines = log.lines();
    CHECK(std::ranges::count(lines, "worker 3 slot 2 stdout: line 58") == 1);
}

TEST_CASE("of many files the last hundred stay") {
    const Log log;
    Options options = crashing(log);
    const std::string folder = options.logs->crash_reports;
    fs::create_directory(folder);
    const std::string future = "/crash-2999-01-01T00:00:00.000";
    for (int i = 0; i != 150; ++i)
        std::ofstream(folder + future + std::to_string(100 + i) + "Z-worker-1.txt") << "of a clock that was wrong";
    std::ofstream(folder + "/crash-notes.txt") << "of the administrator";
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(end_badly);
        co_await tell(app, 1, "", SIGKILL);
        co_await end_of(app, 1);
    });
    const auto files = files_in(folder);
    CHECK(files.size() == 101);
    CHECK(text_of(files[0]).find("killed by SIGKILL") != std::string::npos); // the newest, whatever its name
    CHECK(files[1].ends_with("000151Z-worker-1.txt"));
    CHECK(files[100].ends_with("crash-notes.txt"));
}

#if !defined(COHORT_SANITIZED) // they leave no core file
TEST_CASE("the report says where the core file is, if the kernel has made one") {
    const Log log;
    Options options = crashing(log);
    options.worker.limits[RLIMIT_CORE] = {ResourceLimit::unlimited, ResourceLimit::unlimited};
    options.worker.cwd = log.folder.path;
    rlimit most{};
    ::getrlimit(RLIMIT_CORE, &most);
    if (most.rlim_max != RLIM_INFINITY) options.worker.limits.erase(RLIMIT_CORE);
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(end_badly);
        co_await tell(app, 1, "", SIGSEGV);
        const Event event = co_await end_of(app, 1);
        REQUIRE(event.crash != nullptr);
        const std::string& core = event.crash->core;
        CHECK(core.empty() == !event.status->core_dumped());
        if (core.starts_with('/') && core.find('*') == core.npos) CHECK(fs::exists(core));
    });
}
#endif
