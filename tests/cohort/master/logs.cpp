// SPDX-License-Identifier: MIT
// Options::logs: what workers write, whatever happens to them meanwhile.
#include <cohort/master.hpp>

#include <cohort/detail/log_line.hpp>

#include "support/exec_worker.hpp"
#include "support/logs.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace test;

namespace {

bool has_line(const std::vector<std::string>& lines, const std::string& line) {
    return std::ranges::find(lines, line) != lines.end();
}

std::vector<int> first_numbers(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

/// As a program does it that thinks of nothing.
Task<> write_in_many_ways(App::Worker& self) {
    std::printf("printed by %s\n", self.args().empty() ? "a fork" : "a program");
    std::cout << "streamed\n";
    std::cerr << "complained\n";
    std::fputs("without a newline", stdout);
    co_return;
}

int start_program() {
    asio::io_context io(1);
    Options options = plain_options();
    options.logs.emplace();
    App app(io, options);
    WorkerOptions worker;
    worker.args = {"exec"};
    app.spawn(write_in_many_ways, worker);
    return 120;
}

const ExecWorker program("exec-logs", start_program);

} // namespace

TEST_CASE("what workers write to their standard streams is in the log, and what the library says") {
    const Log log;
    Options options = log.options();
    std::string who = "a fork";
    SUBCASE("forked") {}
    SUBCASE("a program started anew") {
        options.spawn = Spawn::exec;
        options.worker.program = "/proc/self/exe";
        options.worker.args = {"exec-logs"};
        who = "a program";
    }
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(write_in_many_ways);
        app.spawn(write_in_many_ways);
        co_await all_events(app);
        detail::log_line(LogLevel::info, "of the master,\nin two lines");
    });
    const auto lines = log.lines();
    for (const std::string worker : {"worker 1 slot 0", "worker 2 slot 1"}) {
        CHECK(has_line(lines, worker + " stdout: printed by " + who));
        CHECK(has_line(lines, worker + " stdout: streamed"));
        CHECK(has_line(lines, worker + " stderr: complained"));
        CHECK(has_line(lines, worker + " stdout: without a newline"));
    }
    CHECK(has_line(lines, "cohort: of the master,"));
    CHECK(has_line(lines, "cohort: in two lines"));
    struct stat status {};
    REQUIRE(::stat(log.path().c_str(), &status) == 0);
    const mode_t mask = ::umask(0);
    ::umask(mask);
    CHECK((status.st_mode & 0777U) == (0640U & ~mask));
}

namespace {

Task<> write_one(App::Worker&) {
    write_line("to the output");
    write_line("to the error", STDERR_FILENO);
    co_return;
}

} // namespace

TEST_CASE("a log keeps no event loop busy when the last worker has ended") {
    const Log log;
    asio::io_context io(1);
    App app(io, log.options());
    for (int i = 1; i <= 2; ++i) {
        app.spawn(write_in_many_ways);
        io.restart();
        io.run_for(limit);
        CHECK(io.stopped()); // there is nothing to do
        CHECK(app.workers().empty());
        const std::string last = "worker " + std::to_string(i) + " slot 0 stderr: complained";
        CHECK(eventually([&] { return has_line(log.lines(), last); }));
    }
}

TEST_CASE("a descriptor that the options of a worker name is not captured") {
    const Log log;
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    Options options = log.options();
    options.worker.descriptors = {{STDOUT_FILENO, ends[1]}};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(write_one);
        co_await all_events(app);
    });
    ::close(ends[1]);
    char buffer[100];
    const auto size = ::read(ends[0], buffer, sizeof buffer);
    ::close(ends[0]);
    REQUIRE(size > 0);
    CHECK(std::string(buffer, static_cast<std::size_t>(size)) == "to the output\n");
    const auto lines = log.lines();
    CHECK(has_line(lines, "worker 1 slot 0 stderr: to the error"));
    CHECK_FALSE(has_line(lines, "worker 1 slot 0 stdout: to the output"));
}

namespace {

Task<> write_by_name(App::Worker&) {
    for (const std::string name : {"/dev/stdout", "/dev/stderr"}) {
        const int opened = ::open(name.c_str(), O_WRONLY | O_CLOEXEC);
        write_line("opened " + name, opened);
        ::close(opened);
    }
    co_return;
}

} // namespace

TEST_CASE("a worker of another user may open its standard streams by their names") {
    if (::geteuid() != 0) return;
    const Log log;
    Options options = log.options();
    options.worker.uid = 65'534;
    options.worker.gid = 65'534;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(write_by_name);
        co_await all_events(app);
    });
    const auto lines = log.lines();
    CHECK(has_line(lines, "worker 1 slot 0 stdout: opened /dev/stdout"));
    CHECK(has_line(lines, "worker 1 slot 0 stderr: opened /dev/stderr"));
}

TEST_CASE("a log that cannot be written is an error at the start") {
    const Log log;
    const auto start = [](const std::string& path) {
        return [path] {
            asio::io_context io(1);
            Options options = plain_options();
            options.logs = LogOptions{.path = path};
            const App app(io, options);
        };
    };
    CHECK(error_of(start(log.folder / "no/such/folder")) == std::errc::no_such_file_or_directory);
    CHECK(error_of(start(log.folder.path.string())) == std::errc::is_a_directory);
    REQUIRE(::mkfifo((log.folder / "fifo").c_str(), 0600) == 0);
    CHECK(error_of(start(log.folder / "fifo")) == std::errc::invalid_argument);
    std::filesystem::create_symlink("loop", log.folder / "loop");
    CHECK(error_of(start(log.folder / "loop")) == std::errc::too_many_symbolic_link_levels);
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("where no descriptor is left a worker cannot start, and the next one is captured") {
    const Log log;
    in_master<App>(log.options(), [](App& app) -> Task<> {
        for (unsigned long free = 0; free != 4; ++free) {
            const DescriptorLimit descriptors(lowest_free_descriptor() + free);
            CHECK(error_of([&app] { app.spawn(write_one); }) == std::errc::too_many_files_open);
        }
        app.spawn(write_one);
        co_await all_events(app);
    });
    CHECK(std::ranges::count_if(log.lines(), [](const auto& line) { return line.ends_with("to the output"); }) == 1);
}

TEST_CASE("a master whose own standard streams are closed") {
    const Log log;
    Helper helper([&log] {
        for (int fd = 0; fd <= STDERR_FILENO; ++fd) ::close(fd);
        in_master<App>(log.options(), [](App& app) -> Task<> {
            app.spawn(write_one);
            co_await all_events(app);
        });
        return 0;
    });
    CHECK(helper.wait().code() == 0);
    const auto lines = log.lines();
    CHECK(has_line(lines, "worker 1 slot 0 stdout: to the output"));
    CHECK(has_line(lines, "worker 1 slot 0 stderr: to the error"));
}

namespace {

constexpr unsigned at_once = 8;

/// By slot.
std::atomic<int>* begun[at_once];
std::atomic<int>* numbers_written[at_once];

Task<> write_until_killed(App::Worker& self) {
    for (int i = 0; i != 500; ++i) { // some are killed while they write, others when they have written all
        *begun[self.slot()] = i + 1;
        write_line("line " + std::to_string(i));
        *numbers_written[self.slot()] = i + 1;
    }
    for (;;) co_await pause(self.context(), 1h);
}

struct Killed {
    int done = 0;
    int begun = 0;
};

/// Some workers, which have written something, are killed; what each had written.
Task<> kill_some(App& app, int least, std::map<WorkerId, Killed>& killed) {
    std::vector<WorkerId> workers;
    for (unsigned slot = 0; slot != at_once; ++slot) {
        *begun[slot] = *numbers_written[slot] = 0;
        workers.push_back(app.spawn(write_until_killed));
    }
    for (const auto* const number : numbers_written)
        while (*number < least) co_await pause(app.context(), 1ms);
    for (const WorkerId worker : workers) app.kill(worker, SIGKILL);
    for (unsigned ended = 0; ended != at_once; ++ended) co_await next(app, WorkerState::exited);
    for (unsigned slot = 0; slot != at_once; ++slot) killed[workers[slot]] = {*numbers_written[slot], *begun[slot]};
}

} // namespace

TEST_CASE("all that a worker had written when it was killed is in the log, or told as lost, in whole lines") {
    for (unsigned slot = 0; slot != at_once; ++slot) {
        begun[slot] = &make_shared_number();
        numbers_written[slot] = &make_shared_number();
    }
    const Log log;
    std::map<WorkerId, Killed> killed;
    constexpr int times = many / 2'000; // a fork is slower with sanitizers, too
    in_master<App>(log.options(), [&killed](App& app) -> Task<> {
        for (int i = 0; i != times; ++i) co_await kill_some(app, 1 + i * 4, killed);
    });
    CHECK(killed.size() == times * at_once);
    const auto lines = log.lines();
    std::map<WorkerId, int> written;
    std::map<WorkerId, int> last;
    bool is_whole = true;
    for (const auto& line : lines) {
        WorkerId worker = 0;
        unsigned slot = 0;
        int number = -1;
        int end = 0;
        if (std::sscanf(line.c_str(), "worker %u slot %u stdout: line %d%n", &worker, &slot, &number, &end) != 3)
            continue;
        is_whole = is_whole && static_cast<std::size_t>(end) == line.size() && number >= last[worker];
        last[worker] = number + 1;
        ++written[worker];
    }
    CHECK(is_whole);
    int missing = 0;
    for (const auto& [worker, counts] : killed) {
        CAPTURE(worker);
        CHECK(written[worker] <= counts.begun);
        missing += std::max(0, counts.done - written[worker]);
    }
    CHECK(missing <= lost_in(lines)); // where others had the processors
}

namespace {

/// It goes on when the worker has ended.
Task<> leave_a_process(App::Worker& self) {
    const std::string fifo = self.args().front();
    const std::string command = "(read x <" + fifo + "; echo late; read x <" + fifo + ") &";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("system");
    write_line("early");
    std::fputs("begun", stdout);
    co_return;
}

} // namespace

TEST_CASE("what a process writes that the worker has left is in the log, and keeps nobody waiting") {
    const Log log;
    const std::string fifo = log.folder / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const int writer = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC);
    Options options = log.options();
    options.worker.args = {fifo};
    in_master<App>(options, [&log, writer](App& app) -> Task<> {
        const WorkerId worker = app.spawn(leave_a_process);
        co_await end_of(app, worker);
        const auto has_come = [&log](const std::string& line) {
            return [&log, line] { return has_line(log.lines(), line); };
        };
        auto wait = until(app.context(), has_come("worker 1 slot 0 stdout: early"));
        CHECK(co_await std::move(wait));
        write_line("", writer);
        wait = until(app.context(), has_come("worker 1 slot 0 stdout: begunlate"));
        CHECK(co_await std::move(wait));
    });
    write_line("", writer);
    ::close(writer);
}

namespace {

/// Until the worker has ended; then `count` times.
Task<> kill_writers(App& app, int& count) {
    while (!app.workers().empty()) {
        for (const pid_t writer : log_writers()) count += ::kill(writer, SIGKILL) == 0 ? 1 : 0;
        co_await pause(app.context(), 20ms);
    }
}

} // namespace

TEST_CASE("a writer that is killed, again and again, loses nothing that is not told of") {
    const Log log;
    int kills = 0;
    in_master<App>(log.options(), [&kills](App& app) -> Task<> {
        app.spawn(write_lines<>);
        co_await kill_writers(app, kills);
    });
    CHECK(kills > 0);
    // What was written and not taken from the socket yet is written again; a line of which it was a part, too.
    auto lines = lines_of_file(log.path());
    std::erase_if(lines, [](const auto& line) { return !line.ends_with("slowly") && !line.ends_with('.'); });
    std::ranges::sort(lines);
    lines.erase(std::ranges::unique(lines).begin(), lines.end());
    auto numbers = numbers_in(lines);
    std::ranges::sort(numbers);
    numbers.erase(std::ranges::unique(numbers).begin(), numbers.end());
    CHECK(numbers.size() + static_cast<std::size_t>(lost_in(lines)) >= many);
}

namespace {

constexpr int more_than_wait = 60'000; // than the writer's socket, the master and the pipe hold
std::atomic<int>* lines_out;

Task<> write_short_lines(App::Worker&) {
    constexpr int together = 20;
    for (int i = 0; i != more_than_wait; i += together) {
        std::string text;
        for (int number = i; number != i + together; ++number) text += "line " + std::to_string(number) + "\n";
        [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
        *lines_out = i + together;
    }
    co_return;
}

/// Until the worker waits for somebody to read its pipe, which takes the master no longer than this otherwise.
Task<> until_held_up(App& app) {
    int before = 0;
    for (int unchanged = 0; unchanged != 5 && *lines_out != more_than_wait;) {
        co_await pause(app.context(), 1ms);
        const int now = *lines_out;
        unchanged = now != 0 && std::exchange(before, now) == now ? unchanged + 1 : 0;
    }
}

Task<> stop_the_writer_for_a_moment(App& app, bool& held) {
    REQUIRE(eventually([] { return log_writers().size() == 1; }));
    const pid_t writer = log_writers().front();
    ::kill(writer, SIGSTOP);
    app.spawn(write_short_lines);
    co_await until_held_up(app);
    held = *lines_out != more_than_wait;
    ::kill(writer, SIGCONT);
    co_await end_of(app, 1);
}

} // namespace

TEST_CASE("a writer that stands still for a moment loses nothing") {
    lines_out = &make_shared_number();
    int lost = -1;
    for (int attempt = 0; attempt != 10 && lost != 0; ++attempt) { // the moment may get too long on a busy machine
        const Log log;
        bool held = false;
        *lines_out = 0;
        in_master<App>(log.options(), [&held](App& app) { return stop_the_writer_for_a_moment(app, held); });
        CHECK(held);
        const auto lines = log.lines();
        lost = lost_in(lines);
        CHECK(static_cast<int>(numbers_in(lines).size()) + lost == more_than_wait);
    }
    CHECK(lost == 0);
}

TEST_CASE("a signal that stops the service does not stop its log") {
    const Log log;
    in_master<App>(log.options(), [](App& app) -> Task<> {
        REQUIRE(eventually([] { return log_writers().size() == 1; }));
        for (const pid_t writer : log_writers())
            for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) ::kill(writer, signal);
        app.spawn(write_lines<>);
        co_await all_events(app);
    });
    const auto lines = log.lines();
    if (lost_in(lines) == 0) CHECK(numbers_in(lines) == first_numbers(many));
    CHECK(static_cast<int>(numbers_in(lines).size()) + lost_in(lines) == many);
}

namespace {

Task<> write_many_together(App::Worker&) {
    std::string text;
    for (int i = 0; i != many; ++i) text += "line " + std::to_string(i) + "\n";
    for (std::size_t at = 0; at < text.size(); at += 1'000) {
        const std::string piece = text.substr(at, 1'000);
        [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, piece.data(), piece.size());
    }
    co_return;
}

std::size_t resident() {
    std::ifstream file("/proc/self/statm");
    std::size_t all = 0, pages = 0;
    file >> all >> pages;
    return pages * 4096;
}

} // namespace

TEST_CASE("lines of many workers at once: each is there, and takes no memory of the master") {
    const Log log;
    std::size_t grown = 0;
    constexpr int workers = 6;
    in_master<App>(log.options(), [&grown](App& app) -> Task<> {
        app.spawn(write_many_together);
        co_await end_of(app, 1);
        const std::size_t before = resident();
        for (int i = 1; i != workers; ++i) app.spawn(write_many_together);
        co_await all_events(app);
        const std::size_t after = resident();
        grown = after - std::min(before, after);
    });
    const auto lines = log.lines();
    CHECK(numbers_in(lines).size() + static_cast<std::size_t>(lost_in(lines)) == many * workers);
#if !defined(COHORT_SANITIZED) // it keeps freed memory for a while
    CHECK(grown <= std::size_t{1} << 20);
#endif
}
