// SPDX-License-Identifier: MIT
// The process manager, as a user has it: the built program, its real output, and programs that know nothing of it.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/free_port.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using Json = nlohmann::json;

constexpr const char* python_service = R"(import os, signal, socket, sys
s = socket.socket(fileno=3)
print("begins", os.getpid(), flush=True)
print("a complaint", file=sys.stderr, flush=True)
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
    c.recv(4096)
    body = str(os.getpid()).encode()
    c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    c.close()
)";

constexpr const char* node_service = R"(const http = require('http');
const server = http.createServer((request, response) => response.end(String(process.pid)));
server.listen({fd: 3});
process.on('SIGTERM', () => server.close(() => process.exit(0)));
)";

/// What a command has said, and with which code it ended.
struct Answer {
    int code = -1;
    std::string text;
};

/// A daemon of its own, with a folder for it. Whatever goes wrong, it ends.
class Manager {
public:
    Manager() = default;
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;
    ~Manager() { run("kill"); }

    Answer run(const std::string& command) const {
        const std::string program = test::Example::path_of("cohort");
        const std::string text =
            test::run_shell("cd '" + folder_.path.native() + "' && COHORT_HOME='" + (folder_ / "home") +
                            "' timeout 60 " + program + " " + command + " 2>&1; echo \"code: $?\"");
        const auto end = text.rfind("code: ");
        if (end == text.npos) return {};
        return {std::stoi(text.substr(end + 6)), text.substr(0, end)};
    }
    /// A command that must succeed.
    std::string must(const std::string& command) const {
        const Answer answer = run(command);
        CAPTURE(command);
        CAPTURE(answer.text);
        REQUIRE(answer.code == 0);
        return answer.text;
    }
    Json app(const std::string& name) const { return Json::parse(must("list --json " + name)).at(0); }
    std::set<int> pids(const std::string& name) const {
        std::set<int> pids;
        const Json status = app(name);
        for (const auto& worker : status.at("workers"))
            if (worker.at("state") != "stopping") pids.insert(worker.at("pid").get<int>());
        return pids;
    }
    bool becomes(const std::string& name, const std::string& status) const {
        return test::eventually([&] { return app(name).at("status") == status; }, 30s);
    }
    pid_t daemon() const {
        std::ifstream file(folder_ / "home/daemon.pid");
        pid_t pid = 0;
        file >> pid;
        REQUIRE(pid > 1); // or who is killed?
        return pid;
    }
    void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
    std::string operator/(const std::string& name) const { return folder_ / name; }

private:
    test::Folder folder_;
};

bool says(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

std::string get(std::uint16_t port) { return test::HttpClient(port).get("/").body; }

/// Until each of them has answered.
bool all_answer(std::uint16_t port, const std::set<int>& pids) {
    std::set<std::string> missing;
    for (const int pid : pids) missing.insert(std::to_string(pid));
    return test::eventually(
        [&] {
            missing.erase(get(port));
            return missing.empty();
        },
        30s);
}

/// Asks on a connection each, for as long as it lives.
class Load {
public:
    explicit Load(std::uint16_t port) : thread_([this, port] { ask(port); }) {}
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() { end(); }

    void end() {
        over_ = true;
        if (thread_.joinable()) thread_.join();
    }
    int answered() const { return answered_; }
    int failed() const { return failed_; }

private:
    void ask(std::uint16_t port) {
        while (!over_) {
            try {
                ++(get(port).empty() ? failed_ : answered_);
            } catch (const std::exception&) {
                ++failed_;
            }
        }
    }

    std::atomic<bool> over_ = false;
    std::atomic<int> answered_ = 0;
    std::atomic<int> failed_ = 0;
    std::thread thread_;
};

} // namespace

TEST_CASE("cohort: three instances of a server share a port, and reloads lose no request") {
    for (const auto& [file, text] : {std::pair<std::string, std::string>("server.py", python_service),
                                     std::pair<std::string, std::string>("server.js", node_service)}) {
        CAPTURE(file);
        const Manager manager;
        manager.write(file, text);
        const auto port = test::free_port();
        manager.must("start " + file + " -i 3 --listen 127.0.0.1:" + std::to_string(port));
        CHECK(manager.becomes("server", "online"));
        const auto first = manager.pids("server");
        CHECK(first.size() == 3);
        CHECK(all_answer(port, first));
        Load load(port);
        for (int i = 0; i != 2; ++i) manager.must("reload server");
        const auto last = manager.pids("server");
        CHECK(all_answer(port, last));
        load.end();
        CHECK(load.answered() > 0);
        CHECK(load.failed() == 0);
        CHECK(last.size() == 3);
        for (const int pid : last) CHECK(!first.contains(pid));
        CHECK(manager.app("server").at("workers").at(0).at("restarts") == 0);
    }
}

TEST_CASE("cohort: a daemon that is killed leaves everything as it is to the next one") {
    const Manager manager;
    manager.write("server.py", python_service);
    const auto port = test::free_port();
    manager.must("start server.py -i 2 --listen 127.0.0.1:" + std::to_string(port));
    manager.must("start sleep --name resting -- 1000");
    manager.must("stop resting");
    CHECK(manager.becomes("server", "online"));
    const auto before = manager.pids("server");
    REQUIRE(before.size() == 2);
    for (int i = 0; i != 3; ++i) {
        const test::Watched daemon(manager.daemon());
        ::kill(manager.daemon(), SIGKILL);
        CHECK(daemon.ends_within(10s));
        CHECK(get(port) != "");
        CHECK(manager.pids("server") == before);
        CHECK(manager.app("resting").at("status") == "stopped");
    }
    // It is the next one's as it was the first one's.
    ::kill(*before.begin(), SIGKILL);
    CHECK(
        test::eventually([&] { return manager.pids("server").size() == 2 && manager.pids("server") != before; }, 30s));
    CHECK(manager.becomes("server", "online"));
    manager.must("delete all");
    CHECK(Json::parse(manager.must("list --json")).empty());
    CHECK_THROWS(get(port));
}

TEST_CASE("cohort: a supervisor that is killed gets a successor, and the instances do not stay without one") {
    const Manager manager;
    manager.must("start sleep -i 2 -- 1000");
    const auto before = manager.pids("sleep");
    REQUIRE(before.size() == 2);
    const pid_t supervisor = test::parent_of(*before.begin());
    REQUIRE(supervisor > 1);
    ::kill(supervisor, SIGKILL);
    CHECK(test::eventually([&] { return manager.pids("sleep").size() == 2 && manager.pids("sleep") != before; }, 30s));
    for (const int pid : before) CHECK(test::eventually([pid] { return test::parent_of(pid) == 0; }));
}

TEST_CASE("cohort: an app is stopped, started, restarted, scaled and deleted, by name, number, namespace or all") {
    const Manager manager;
    manager.must("start sleep --name one --namespace day -i 2 -- 1000");
    manager.must("start sleep --name two --namespace day -- 1000");
    manager.must("start sleep --name three -- 1000");
    manager.must("stop day");
    CHECK(manager.app("one").at("status") == "stopped");
    CHECK(manager.app("two").at("status") == "stopped");
    CHECK(manager.pids("three").size() == 1);
    manager.must("start one");
    CHECK(manager.pids("one").size() == 2);
    const auto before = manager.pids("one");
    manager.must("restart 1");
    CHECK(manager.pids("one").size() == 2);
    CHECK(manager.pids("one") != before);
    manager.must("scale one +2");
    CHECK(test::eventually([&] { return manager.pids("one").size() == 4; }));
    manager.must("scale one 1");
    CHECK(test::eventually([&] { return manager.pids("one").size() == 1; }));
    manager.must("delete day three");
    CHECK(Json::parse(manager.must("list --json")).empty());
}

TEST_CASE("cohort: a reload by which a program breaks is refused, with its last words, and the old instances stay") {
    const Manager manager;
    manager.write("server.py", python_service);
    const auto port = test::free_port();
    manager.must("start server.py -i 2 --min-uptime 3 --listen 127.0.0.1:" + std::to_string(port));
    CHECK(manager.becomes("server", "online"));
    const auto before = manager.pids("server");
    manager.write("server.py", "import sys; sys.exit('the new version is broken')");
    const Answer answer = manager.run("reload server");
    CHECK(answer.code == 1);
    CHECK(says(answer.text, "the old instances stay"));
    CHECK(says(answer.text, "the new version is broken"));
    CHECK(manager.pids("server") == before);
    CHECK(get(port) != "");
}

TEST_CASE("cohort: programs that do not behave") {
    const Manager manager;
    struct Case {
        const char* name;
        const char* script;
        const char* options;
        const char* status;
        const char* last_end;
    };
    for (const auto& [name, script, options, status, last_end] :
         {Case{"crashes", "exit 3", "", "backoff", "exited with code 3"},
          Case{"fails-once", "exit 4", "--restart never", "stopped", "exited with code 4"},
          Case{"has-done-it", "exit 0", "--restart on-failure", "stopped", "exited with code 0"}}) {
        CAPTURE(name);
        manager.must("start sh --name " + std::string(name) + " " + options + " -- -c '" + script + "'");
        CHECK(manager.becomes(name, status));
        CHECK(manager.app(name).at("last_end") == last_end);
    }
    manager.must("start sh --name stubborn --grace 0.2 -- -c 'trap \"\" TERM; while :; do sleep 0.1; done'");
    const auto before = manager.pids("stubborn");
    manager.must("reload stubborn"); // one after the other, as it has no socket from us
    CHECK(manager.pids("stubborn").size() == 1);
    CHECK(manager.pids("stubborn") != before);
    manager.must("stop stubborn");

    manager.must("start sh --name forks -- -c '(setsid sleep 1000 & echo $! >forked); exec sleep 1000'");
    CHECK(manager.becomes("forks", "online"));
    manager.must("stop crashes forks");
    ::kill(std::stoi(test::run_shell("cat '" + (manager / "forked") + "'")), SIGKILL);
}

TEST_CASE("cohort: what an app has written can be read while it runs and when it has ended") {
    const Manager manager;
    manager.must("start sh --name talks --restart never -- "
                 "-c 'for i in 1 2 3; do echo line $i; done; echo oops >&2; read x; sleep 1000'");
    CHECK(test::eventually([&] { return says(manager.must("logs talks"), "oops"); }));
    const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
    for (const bool runs : {true, false}) {
        CAPTURE(runs);
        if (!runs) manager.must("stop talks");
        CHECK(lines(manager.must("logs talks")) == 4);
        CHECK(lines(manager.must("logs talks -n 2")) == 2);
        CHECK(says(manager.must("logs talks -n 1 --grep 'line'"), "talks[0]  line 3\n"));
        const auto error = Json::parse(manager.must("logs talks --err --json"));
        CHECK(error.at("text") == "oops");
        CHECK(error.at("app") == "talks");
    }
    manager.must("start sh --name ends --restart never -- -c 'sleep 0.5; echo the last line'");
    CHECK(says(manager.must("logs ends -f"), "the last line"));
}

TEST_CASE("cohort: what cannot be done is said, with a code that scripts can rely on") {
    const Manager manager;
    manager.write("no_program.txt", "text");
    manager.must("start sleep --name there -- 1000");
    struct Case {
        const char* command;
        int code;
        const char* text;
    };
    for (const auto& [command, code, text] :
         {Case{"bogus", 2, "no command"},
          Case{"start", 2, "start needs"},
          Case{"list --bogus", 2, "no such option"},
          Case{"start sleep --name all -- 1", 2, "no name"},
          Case{"start sleep --name ../x -- 1", 2, "no name"},
          Case{"start sleep --name 12 -- 1", 2, "id"},
          Case{"start sleep -i many -- 1", 2, "number of instances"},
          Case{"start sleep --listen nowhere:x -- 1", 2, "is no address"},
          Case{"start sleep --stop-signal NONE -- 1", 2, "no signal"},
          Case{"start sleep --restart often -- 1", 2, "restart"},
          Case{"start sleep --env =x -- 1", 2, "NAME=VALUE"},
          Case{"scale there many", 2, "number of instances"},
          Case{"scale there -1", 1, "from 1 to 1000"},
          Case{"stop", 2, "which app"},
          Case{"logs -n x", 2, "number of lines"},
          Case{"start ./missing", 1, "no such file"},
          Case{"start missing-program", 1, "no such file"},
          Case{"start no_program.txt", 1, "not executable"},
          Case{"start there", 1, "runs already"},
          Case{"start sleep --name there -- 1", 1, "there is one of this name"},
          Case{"start sleep --name elsewhere --cwd missing -- 1", 1, "No such file"},
          Case{"start sleep --name far --listen 192.0.2.1:80 -- 1", 1, "Cannot assign"},
          Case{"stop nobody", 1, "no app"},
          Case{"signal TERM nobody", 1, "no app"}}) {
        const Answer answer = manager.run(command);
        CAPTURE(command);
        CAPTURE(answer.text);
        CHECK(answer.code == code);
        CHECK(says(answer.text, "cohort: "));
        CHECK(says(answer.text, text));
    }
    CHECK(says(manager.must("help"), "Usage: cohort"));
    CHECK(says(manager.must("--version"), "cohort "));
}

TEST_CASE("cohort: kill ends everything, and the next command starts what ran") {
    const Manager manager;
    manager.must("start sleep --name runs -- 1000");
    manager.must("start sleep --name rests -- 1000");
    manager.must("stop rests");
    const auto before = manager.pids("runs");
    const test::Watched daemon(manager.daemon());
    manager.must("kill");
    CHECK(daemon.ends_within(10s));
    for (const int pid : before) CHECK(test::parent_of(pid) == 0);
    const Answer again = manager.run("kill");
    CHECK(again.code == 1);
    CHECK(says(again.text, "no daemon"));
    CHECK(manager.becomes("runs", "online"));
    CHECK(manager.app("rests").at("status") == "stopped");
}
