// SPDX-License-Identifier: MIT
// What a worker process is made with: environment, arguments, directory, user, and not one descriptor too many.
#include <cohort/master.hpp>

#include <asio/io_context.hpp>

#include "support/cluster.hpp"
#include "support/folder.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

using namespace test;

namespace {

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "(none)" : value;
}

Task<> say_surroundings(App::Worker& self) {
    std::string arguments;
    for (const auto& one : self.args()) arguments += one + ";";
    co_await say(self, variable("COHORT_TEST_A") + " " + variable("COHORT_TEST_B"));
    co_await say(self, arguments);
    co_await say(self, std::filesystem::current_path());
}

TEST_CASE("a worker has its own environment, arguments and directory, the master keeps its own") {
    ::setenv("COHORT_TEST_A", "old", 1);
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.env = {{"COHORT_TEST_A", "new"}, {"COHORT_TEST_B", "added"}};
        options.args = {"one", "two words"};
        options.cwd = "/proc";
        app.spawn(say_surroundings, options);
        const auto env = co_await mail(app);
        const auto args = co_await mail(app);
        const auto cwd = co_await mail(app);
        CHECK(env.message.text == "new added");
        CHECK(args.message.text == "one;two words;");
        CHECK(cwd.message.text == "/proc");
        app.spawn(say_surroundings); // without: what the master has
        const auto plain = co_await mail(app);
        CHECK(plain.message.text == "old (none)");
    });
    CHECK(variable("COHORT_TEST_A") == "old");
    ::unsetenv("COHORT_TEST_A");
}

Task<int> say_dumpable(App::Worker&) { co_return ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0); }

TEST_CASE("nobody looks into a worker that is not to be dumpable") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.dumpable = false;
        const WorkerId hidden = app.spawn(say_dumpable, options);
        Event event = co_await end_of(app, hidden);
        CHECK(event.status == ExitStatus::exited(0));
        const WorkerId plain = app.spawn(say_dumpable);
        event = co_await end_of(app, plain);
        CHECK(event.status == ExitStatus::exited(1));
    });
}

TEST_CASE("a worker sees of the master's environment what it is to see") {
    ::setenv("COHORT_TEST_A", "secret", 1);
    ::setenv("COHORT_TEST_B", "known", 1);
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.keep_env = {"COHORT_TEST_B*"};
        app.spawn(say_surroundings, options);
        const auto env = co_await mail(app);
        CHECK(env.message.text == "(none) known");
    });
    for (const char* name : {"COHORT_TEST_A", "COHORT_TEST_B"}) ::unsetenv(name);
}

TEST_CASE("a successor is made with the same surroundings") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.worker.env = {{"COHORT_TEST_B", "again"}};
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(say_surroundings);
        for (WorkerId id = 1; id <= 2; ++id) {
            const auto env = co_await mail(app);
            CHECK(env.message.text == "(none) again");
            CHECK(env.from == id);
            co_await mail(app);
            co_await mail(app);
        }
    });
}

/// The end of a worker with these options. Its body must not run.
Event end_with(const WorkerOptions& options) {
    static WorkerOptions the_options;
    static Event end;
    the_options = options;
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(echo<App::Worker>, the_options);
        const auto events = co_await all_events(app);
        CHECK(kinds(events) == std::vector{WorkerState::forked, WorkerState::exited});
        end = events.back();
    });
    return end;
}

TEST_CASE("a directory that does not exist ends the worker with the reason, and code 127") {
    WorkerOptions options;
    options.cwd = "/nonexistent";
    const Event end = end_with(options);
    CHECK(end.status->code() == 127);
    CHECK(end.error == std::errc::no_such_file_or_directory);
    CHECK_FALSE(end.voluntary);
}

TEST_CASE("limits of a cgroup that was not delegated are an error of spawn(), which says what is missing") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.cgroup.emplace();
        options.cgroup->memory = std::uint64_t{1} << 40;
        std::string what;
        try {
            app.spawn(idle, options);
        } catch (const std::system_error& error) {
            what = error.what();
        }
        if (what.empty())
            MESSAGE("here it was delegated");
        else
            CHECK(what.starts_with("cgroup: "));
        co_await app.stop();
    });
}

Task<> say_root(App::Worker& self) {
    co_await say(self, std::filesystem::exists("/proc") ? "the whole tree" : "its own");
    co_await say(self, std::filesystem::current_path());
    const auto listener = co_await self.listen(Endpoint("127.0.0.1:0"));
    co_await say(self, listener.port() == 0 ? "no port" : "a port");
}

TEST_CASE("a worker in a root of its own is a worker as any" * doctest::skip(::getuid() != 0)) {
    const Folder folder;
    static std::string root;
    root = folder.path.native();
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.root = root;
        const WorkerId worker = app.spawn(say_root, options);
        for (const char* expected : {"its own", "/", "a port"}) {
            const auto said = co_await mail(app);
            CHECK(said.message.text == expected);
        }
        const Event end = co_await end_of(app, worker);
        CHECK(end.status == ExitStatus::exited(0));
    });
}

/// Gives up being root first, for good.
void become_nobody() {
    if (::getuid() != 0) return;
    if (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
        ::_exit(117);
}

template <class Change>
int code_as_nobody(Change change) {
    Helper helper([change] {
        become_nobody();
        asio::io_context io(1);
        Options options = plain_options();
        change(options.worker);
        App app(io, options);
        app.spawn(echo<App::Worker>);
        int code = 116;
        spawn(io, [](App& a, int& c) -> Task<> {
            const Event end = co_await next(a, WorkerState::exited);
            c = end.error == std::errc::operation_not_permitted ? end.status->code().value_or(115) : 114;
        }(app, code));
        io.run_for(limit);
        return code;
    });
    return helper.wait().code().value_or(113);
}

TEST_CASE("without the right to become another user the worker ends with EPERM and code 127") {
    CHECK(code_as_nobody([](WorkerOptions& options) { options.uid = 0; }) == 127);
    CHECK(code_as_nobody([](WorkerOptions& options) { options.gid = 0; }) == 127);
}

Task<> say_user(App::Worker& self) {
    co_await say(self, "uid", ::getuid());
    co_await say(self, "gid", ::getgid());
    co_await say(self, "groups", ::getgroups(0, nullptr));
    co_await say(self, "root again?", ::setuid(0));
    co_await say(self, "dumpable", ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

TEST_CASE("a worker of another user is that user for good" * doctest::skip(::getuid() != 0)) {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.uid = 65534;
        options.gid = 65533;
        app.spawn(say_user, options);
        for (const std::int64_t expected : {65534, 65533, 0, -1, 1}) {
            const auto said = co_await mail(app);
            CHECK(said.message.number == expected);
        }
        CHECK(::getuid() == 0);
    });
}

// Descriptors

/// What a process has beyond the test program's own open files: "socket", "anon_inode:[eventpoll]", ...
std::multiset<std::string> beyond(const std::map<int, std::string>& own) {
    std::multiset<std::string> result;
    for (const auto& [fd, target] : open_descriptors()) {
        const auto known = own.find(fd);
        if (known != own.end() && known->second == target) continue;
        result.insert(target.substr(0, target.find(":[") == std::string::npos ? target.size()
                                       : target.starts_with("socket")         ? 6
                                                                              : target.size()));
    }
    return result;
}

std::map<int, std::string> own_descriptors; // of the test program, before there is a master

template <class W>
Task<> say_descriptors(W& self) {
    std::string text;
    for (const auto& target : beyond(own_descriptors)) text += target + " ";
    co_await say(self, text);
    const auto listener = co_await self.listen(Endpoint("127.0.0.1:0"));
    text.clear();
    for (const auto& target : beyond(own_descriptors)) text += target + " ";
    co_await say(self, text);
    co_await self.until_stopping();
}

// Its event loop, what tells it of a signal to leave, its control link and its channel.
const std::string bare = "anon_inode:[eventfd] anon_inode:[eventfd] anon_inode:[eventpoll] anon_inode:[timerfd] ";

template <class A>
Task<> check_descriptors(A& app, std::string before, std::string after) {
    for (int i = 0; i < 4; ++i) { // the last one could have inherited something of all others
        const WorkerId worker = app.spawn(say_descriptors<typename A::Worker>);
        for (const auto& expected : {before, after}) {
            const auto said = co_await mail(app);
            CHECK(said.from == worker);
            CHECK(said.message.text == bare + expected);
        }
        if (i == 1) app.kill(worker, SIGKILL);
        if (i == 1) co_await end_of(app, worker);
    }
}

TEST_CASE("a worker has the descriptors of its loop, its two links and its listeners, and no other") {
    own_descriptors = open_descriptors();
    Options listening = plain_options();
    listening.listen = {Endpoint("127.0.0.1:0")};
    SUBCASE("round-robin") {
        in_master<App>(plain_options(),
                       [](App& app) { return check_descriptors(app, "socket socket ", "socket socket "); });
    }
    SUBCASE("round-robin, opened by the master") {
        in_master<App>(listening, [](App& app) { return check_descriptors(app, "socket socket ", "socket socket "); });
    }
    SUBCASE("shared socket") {
        in_master<SharedApp>(plain_options(), [](SharedApp& app) {
            return check_descriptors(app, "socket socket ", "socket socket socket ");
        });
    }
    SUBCASE("shared socket, opened by the master") {
        in_master<SharedApp>(listening, [](SharedApp& app) {
            return check_descriptors(app, "socket socket socket ", "socket socket socket ");
        });
    }
    CHECK(open_descriptors() == own_descriptors);
}

/// Standard output of a program that this worker starts.
std::string output_of(const char* command) {
    std::string text;
    FILE* const pipe = ::popen(command, "r");
    char buffer[4096];
    while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, count);
    ::pclose(pipe);
    return text;
}

std::string read_to_end(int fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(fd, buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(count));
    ::close(fd);
    return text;
}

Task<> start_program(App::Worker& self) {
    const auto listener = co_await self.listen(Endpoint("127.0.0.1:0"));
    co_await say(self, output_of("env | grep -c '^COHORT_WORKER='"));
    co_await say(self, output_of("for fd in /proc/self/fd/*; do readlink $fd; done"));
}

TEST_CASE("a program that a worker starts has none of the cluster's descriptors and variables") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(start_program);
        const auto variables = co_await mail(app);
        CHECK(variables.message.text == "0\n");
        const auto descriptors = co_await mail(app);
        CHECK(descriptors.message.text.find("pipe:") != std::string::npos); // its standard output
        for (const char* ours : {"eventpoll", "memfd:cohort", "pidfd", "timerfd"})
            CHECK_MESSAGE(descriptors.message.text.find(ours) == std::string::npos, descriptors.message.text);
        // The test program itself may have been given sockets.
        std::size_t sockets = 0;
        for (const auto& [fd, target] : open_descriptors())
            sockets += target.starts_with("socket") && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
        std::size_t found = 0;
        for (std::size_t at = 0; (at = descriptors.message.text.find("socket:", at)) != std::string::npos; ++at)
            ++found;
        CHECK(found == sockets);
    });
}

pid_t start_child() {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::alarm(60);
    ::pause();
    ::_exit(0);
}

Task<int> leave_a_child(App::Worker& self) {
    co_await say(self, "child", start_child());
    co_return 9;
}

TEST_CASE("a child that a worker leaves behind delays neither its last message nor its exited event") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(leave_a_child);
        const Event end = co_await end_of(app, worker); // although the child has copies of both links
        CHECK(end.status->code() == 9);
        const auto said = co_await mail(app);
        CHECK(::kill(static_cast<pid_t>(said.message.number), SIGKILL) == 0);
        const auto none = co_await app.receive();
        CHECK_FALSE(none);
    });
}

/// Says something on every descriptor that is not the test's own.
Task<> write_on_all(App::Worker& self) {
    std::cout << "on standard output" << std::endl;
    std::cerr << "on standard error" << std::endl;
    for (int fd = 4; fd <= 30; ++fd) {
        const std::string text = "on " + std::to_string(fd) + "\n";
        [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
    }
    co_await say(self, "done");
}

TEST_CASE("a worker's descriptors have the numbers that were asked for, whatever had them") {
    int output[2];
    int more[2];
    REQUIRE(::pipe2(output, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(more, O_CLOEXEC) == 0);
    WorkerOptions options;
    options.descriptors = {{STDOUT_FILENO, output[1]}, {STDERR_FILENO, -1}};
    for (int fd = 4; fd <= 30; ++fd) options.descriptors[fd] = fd % 2 == 0 ? more[1] : -1; // its own links were there
    in_master<App>(plain_options(), [&](App& app) -> Task<> {
        const WorkerId worker = app.spawn(write_on_all, options);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "done");
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->success());
    });
    ::close(output[1]);
    ::close(more[1]);
    CHECK(read_to_end(output[0]) == "on standard output\n");
    std::string expected;
    for (int fd = 4; fd <= 30; fd += 2) expected += "on " + std::to_string(fd) + "\n";
    CHECK(read_to_end(more[0]) == expected);
}

TEST_CASE("a descriptor that the master does not have is a set-up that failed") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.descriptors = {{STDOUT_FILENO, 100'000}};
        const WorkerId worker = app.spawn(say_surroundings, options);
        const Event end = co_await end_of(app, worker);
        CHECK(end.error == std::errc::bad_file_descriptor);
        CHECK(end.status->code() == 127);
    });
}

Task<> start_and_stay(App::Worker& self) {
    co_await say(self, "child", start_child());
    co_await self.until_stopping();
}

TEST_CASE("what a worker has started ends with it, however it ends, if that is wanted") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.kill_group = true;
        for (const bool killed : {false, true}) {
            const WorkerId worker = app.spawn(start_and_stay, options);
            const auto said = co_await mail(app);
            const Watched child(static_cast<pid_t>(said.message.number));
            killed ? app.kill(worker, SIGKILL) : app.disconnect(worker);
            co_await end_of(app, worker);
            CHECK(child.ends_within(10s));
        }
    });
}

volatile std::sig_atomic_t got_signal = 0;

/// Knows nothing of being asked: a signal is what it waits for.
Task<int> wait_for_signal(App::Worker& self) {
    ::signal(SIGUSR1, [](int number) { got_signal = number; });
    co_await say(self, "waiting");
    while (got_signal == 0) co_await pause(self.context(), 1ms);
    co_return 7;
}

TEST_CASE("a worker may be asked to leave by a signal of its own") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.stop_signal = SIGUSR1;
        const WorkerId worker = app.spawn(wait_for_signal, options);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "waiting");
        app.disconnect(worker);
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->code() == 7);
        CHECK(end.voluntary);
    });
}

} // namespace
