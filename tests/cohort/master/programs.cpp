// SPDX-License-Identifier: MIT
// Master::spawn_program: workers that are any program. Here they are shell scripts, and a Python server that takes its
// socket from its surroundings.
#include <cohort/master.hpp>
#include <cohort/mode/shared_listener.hpp>

#include "support/client.hpp"
#include "support/folder.hpp"
#include "support/process.hpp"

#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

using namespace test;

namespace {

std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

WorkerOptions script(std::string text) { return {.args = {"-c", std::move(text)}, .program = "sh"}; }

/// Lives until it is told to end.
WorkerOptions sleeper() { return {.args = {"60"}, .program = "sleep"}; }

/// Says who it is to every client.
constexpr const char* python_server = R"(
import os, socket, signal, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == "1"
s = socket.socket(fileno=3)
leaving = False
def leave(*_):
    global leaving
    leaving = True
    s.close()
signal.signal(signal.SIGTERM, leave)
while not leaving:
    try:
        c, _ = s.accept()
    except OSError:
        if not leaving:
            raise
        break
    c.sendall(f"{os.getpid()}".encode())
    c.close()
)";

Task<std::vector<WorkerId>> until_ready(MasterBase& app, unsigned count) {
    while (app.ready_workers() < count) co_await pause(app.context(), 1ms);
    std::vector<WorkerId> ids;
    for (const auto& worker : app.workers()) ids.push_back(worker.id);
    co_return ids;
}

} // namespace

TEST_CASE("a program is online when it has been executed, and gets a successor when it ends") {
    in_master<App>(permanent_options(), [](App& app) -> Task<> {
        const WorkerId first = app.spawn_program(sleeper());
        const Event online = co_await next(app, WorkerState::online);
        CHECK(online.worker == first);
        CHECK(app.ready_workers() == 1);
        ::kill(online.pid, SIGKILL);
        const Event end = co_await end_of(app, first);
        CHECK(end.status->signal() == SIGKILL);
        const Event again = co_await next(app, WorkerState::online);
        CHECK(again.worker != first);
        CHECK(again.slot == online.slot);
        co_await app.stop();
    });
}

TEST_CASE("what a program is started with") {
    const Folder folder;
    auto options = script(R"(exec > "$OUT"; echo "slot $COHORT_SLOT"; echo "$GREETING"; pwd
        grep -E '^Sig(Blk|Ign)' /proc/self/status; ls -l /proc/$$/fd | grep -cE 'socket|memfd|anon_inode'
        env | grep -cE '^(COHORT_WORKER|LISTEN_|NOTIFY_SOCKET)')");
    options.env = {{"OUT", folder / "out"}, {"GREETING", "two words"}};
    options.cwd = "/";
    in_master<App>(plain_options(), [&options](App& app) -> Task<> {
        const WorkerId worker = app.spawn_program(options);
        co_await end_of(app, worker);
    });
    const std::string seen = content(folder / "out");
    CAPTURE(seen);
    CHECK(seen.starts_with("slot 0\ntwo words\n/\n"));
    CHECK(seen.find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n") != seen.npos);
    CHECK(seen.ends_with("\n0\n0\n")); // descriptors of the master's, and variables
}

TEST_CASE("a program that cannot be executed is a failed start, with the reason") {
    struct Case {
        const char* program;
        std::error_code error;
    };
    for (const auto& [program, error] :
         {Case{"no-such-program-anywhere", {ENOENT, std::system_category()}},
          Case{"/etc/passwd", {EACCES, std::system_category()}}, Case{"/", {EACCES, std::system_category()}}}) {
        CAPTURE(program);
        in_master<App>(plain_options(), [program = std::string(program), expected = error](App& app) -> Task<> {
            const WorkerId worker = app.spawn_program({.program = program});
            const Event end = co_await end_of(app, worker);
            CHECK(end.status->code() == 127);
            CHECK(end.error == expected);
        });
    }
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        CHECK_THROWS_AS(app.spawn_program({}), std::system_error);
        co_return;
    });
}

TEST_CASE("programs share a listener, and a reload loses no connection") {
    auto options = permanent_options();
    options.listen = {any_port()};
    in_master<Master<Note, SharedListener>>(options, [](auto& app) -> Task<> {
        for (int i = 0; i != 2; ++i) app.spawn_program({.args = {"-c", python_server}, .program = "python3"});
        const auto before = co_await until_ready(app, 2);
        const auto port = app.stats().queues.front().endpoint.port();
        std::set<std::string> answered;
        for (int round = 0; round != 3; ++round) {
            bool done = false;
            asio::co_spawn(
                app.context(),
                [](auto& its_app, bool& is_done) -> Task<> {
                    const ReloadReport report = co_await its_app.reload();
                    CHECK(report.replaced == 2);
                    is_done = true;
                }(app, done),
                asio::detached);
            for (const std::size_t known = answered.size(); !done || answered.size() == known;) {
                Client client(app.context(), port);
                const std::string answer = co_await client.read_all();
                CHECK(answer != "");
                CHECK(answer != "reset");
                answered.insert(answer);
            }
        }
        CHECK(app.workers().back().id == before.back() + 3 * 2); // none has crashed
        co_await app.stop();
    });
}

TEST_CASE("a program is asked to leave by its signal, and killed after the grace") {
    struct Case {
        const char* text;
        std::optional<int> signal;
        int code;
        int killed_by;
    };
    for (const auto& [text, signal, code, killed_by] :
         {Case{"trap 'exit 7' TERM; echo >&3; while :; do sleep 0.01; done", {}, 7, 0},
          Case{"trap 'exit 8' INT; echo >&3; while :; do sleep 0.01; done", SIGINT, 8, 0},
          Case{"trap '' TERM; echo >&3; while :; do sleep 0.01; done", {}, 0, SIGKILL}}) {
        CAPTURE(text);
        auto options = plain_options();
        options.grace = 200ms;
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        in_master<App>(options,
                       [&, text = text, signal = signal, code = code, killed_by = killed_by](App& app) -> Task<> {
                           auto program = script(text);
                           program.stop_signal = signal;
                           program.descriptors = {{3, ends[1]}};
                           const WorkerId worker = app.spawn_program(program);
                           CHECK(readable_within(ends[0], 10s));
                           app.disconnect(worker);
                           const Event end = co_await end_of(app, worker);
                           CHECK(end.voluntary);
                           if (killed_by != 0)
                               CHECK(end.status->signal() == killed_by);
                           else
                               CHECK(end.status->code() == code);
                       });
        ::close(ends[0]);
        ::close(ends[1]);
    }
}

TEST_CASE("the master says when a program is ready") {
    auto options = permanent_options();
    options.readiness = Readiness::announced;
    options.boot_timeout = 10s;
    in_master<App>(options, [](App& app) -> Task<> {
        const WorkerId first = app.spawn_program(sleeper());
        co_await next(app, WorkerState::online);
        CHECK(app.ready_workers() == 0);
        app.ready(first);
        CHECK(app.ready_workers() == 1);

        bool done = false;
        ReloadReport report;
        asio::co_spawn(
            app.context(),
            [](App& its_app, ReloadReport& result, bool& is_done) -> Task<> {
                result = co_await its_app.reload();
                is_done = true;
            }(app, report, done),
            asio::detached);
        const Event second = co_await next(app, WorkerState::online);
        CHECK(app.workers().size() == 2);
        CHECK(!done);
        app.ready(second.worker);
        const Event end = co_await end_of(app, first);
        CHECK(end.voluntary);
        while (!done) co_await pause(app.context(), 1ms);
        CHECK(report.replaced == 1);
        CHECK_THROWS_AS(app.ready(first), std::system_error);
        co_await app.stop();
    });
}

TEST_CASE("it ends with its master, unless it is to outlive it") {
    for (const bool outlives : {false, true}) {
        CAPTURE(outlives);
        Helper master([outlives] {
            asio::io_context io(1);
            App app(io, permanent_options());
            auto options = sleeper();
            options.outlives_master = outlives;
            app.spawn_program(options);
            asio::co_spawn(
                io,
                [](App& its_app) -> Task<> {
                    const Event online = co_await next(its_app, WorkerState::online);
                    dprintf(STDOUT_FILENO, "%d\n", online.pid);
                }(app),
                asio::detached);
            io.run();
            return 0;
        });
        const pid_t program = std::stoi(master.line().value_or("0"));
        const Watched watched(program);
        master.signal(SIGKILL);
        CHECK(watched.ends_within(outlives ? 200ms : 10s) == !outlives);
        if (outlives) ::kill(program, SIGKILL);
    }
}

TEST_CASE("reload by stopping first: never two of a slot at a time") {
    const Folder folder;
    auto options = permanent_options();
    options.reload_order = ReloadOrder::stop_first;
    options.boot_timeout = 5s;
    in_master<App>(options, [&folder](App& app) -> Task<> {
        auto program =
            script("trap 'rmdir \"$LOCK\"; exit 0' TERM; mkdir \"$LOCK\" || exit 9; while :; do sleep 0.01; done");
        program.env = {{"LOCK", folder / "lock"}};
        app.spawn_program(program);
        const auto before = co_await until_ready(app, 1);
        bool is_finished = false; // while a slot is empty, too, there is one to come
        asio::co_spawn(
            app.context(),
            [](App& its_app, bool& finished) -> Task<> {
                co_await its_app.until_finished();
                finished = true;
            }(app, is_finished),
            asio::detached);
        while (!std::filesystem::exists(folder / "lock")) co_await pause(app.context(), 1ms);
        for (int i = 0; i != 3; ++i) {
            const ReloadReport report = co_await app.reload();
            CHECK(report.error.message() == std::error_code{}.message());
            CHECK(report.replaced == 1);
            CHECK(app.workers().size() == 1);
            while (!std::filesystem::exists(folder / "lock")) co_await pause(app.context(), 1ms);
        }
        CHECK(app.workers().front().id == before.front() + 3);
        CHECK(!is_finished);
        co_await app.stop();
        co_await app.until_finished();
    });
    CHECK(!std::filesystem::exists(folder / "lock"));
}

TEST_CASE("reload by stopping first: a failure, a stop and a cancelled wait leave no slot without a worker") {
    const Folder folder;
    auto options = permanent_options();
    options.reload_order = ReloadOrder::stop_first;
    options.backoff.first = 10ms;
    in_master<App>(options, [&folder](App& app) -> Task<> {
        // Ends at once while the file is there.
        auto program = script("[ -e \"$BROKEN\" ] && exit 3; exec sleep 60");
        program.env = {{"BROKEN", folder / "broken"}};
        app.spawn_program(program);
        co_await until_ready(app, 1);
        std::ofstream(folder / "broken") << "";
        const ReloadReport report = co_await app.reload();
        std::filesystem::remove(folder / "broken");
        // It was executed, so it may have counted as ready before it ended.
        CHECK((report.replaced == 1 || report.error == Errc::not_ready));
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        bool lives = false;
        while (!lives && std::chrono::steady_clock::now() < deadline) {
            co_await pause(app.context(), 20ms);
            const auto workers = app.workers();
            lives = workers.size() == 1 && workers.front().state == WorkerState::online;
        }
        CHECK(lives);
        co_await app.stop();
        CHECK(app.workers().empty());
    });
}

TEST_CASE("a process that runs already is adopted, and has successors as others do") {
    Helper running([] {
        ::pause();
        return 0;
    });
    in_master<App>(permanent_options(), [&running](App& app) -> Task<> {
        const WorkerId adopted = app.adopt_program(running.pid(), sleeper());
        const Event online = co_await next(app, WorkerState::online);
        CHECK(online.worker == adopted);
        CHECK(online.pid == running.pid());
        running.signal(SIGKILL);
        const Event end = co_await end_of(app, adopted);
        CHECK(end.status->signal() == SIGKILL);
        const Event successor = co_await next(app, WorkerState::online);
        CHECK(successor.slot == online.slot);
        CHECK(successor.pid != running.pid());
        CHECK_THROWS_AS(app.adopt_program(running.pid(), sleeper()), std::system_error); // it is gone
        CHECK_THROWS_AS(app.adopt_program(std::numeric_limits<pid_t>::max(), sleeper()), std::system_error);
        co_await app.stop();
    });
}

TEST_CASE("a process that is no child is adopted, and asked to leave like one") {
    Helper parent([] {
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGTERM, SIG_DFL);
            ::pause();
            ::_exit(0);
        }
        dprintf(STDOUT_FILENO, "%d\n", child);
        int status = 0;
        ::waitpid(child, &status, 0);
        return WTERMSIG(status);
    });
    const pid_t stranger = std::stoi(parent.line().value_or("0"));
    in_master<App>(permanent_options(), [stranger](App& app) -> Task<> {
        const WorkerId adopted = app.adopt_program(stranger, sleeper());
        co_await next(app, WorkerState::online);
        app.disconnect(adopted);
        const Event end = co_await end_of(app, adopted);
        CHECK(!end.status->code());
        CHECK(!end.status->signal());
        CHECK(end.voluntary);
    });
    CHECK(parent.wait().code() == SIGTERM);
}
