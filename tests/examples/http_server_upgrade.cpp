// SPDX-License-Identifier: MIT
// The demo server's master replaced by SIGUSR2, by the same program or by one that is none.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;
using test::Example;
using test::HttpClient;

namespace {

constexpr auto upgrade_patience = 20s;

/// The master of whoever answers on this connection. A worker that leaves may be gone as soon as it has answered.
pid_t master_of(HttpClient& client) {
    pid_t master = 0;
    while (master == 0) {
        const std::string body = client.get("/worker").body;
        master = test::parent_of(std::stoi(body.substr(body.find("\"pid\":") + 6)));
    }
    return master;
}

/// A copy of the demo, so that its file can be replaced while it runs.
class Copy {
public:
    explicit Copy(const std::string& mode)
        : program_(folder_ / "server"), server_((copy(), program_), {"--port", "0", "--workers", "2", "--mode", mode}) {
        port_ = server_.port_after("http_server: listening on ");
    }
    void copy() { std::filesystem::copy_file(Example::path_of("http_server"), program_); }
    /// Another file with the name of the one that runs, as an installer does it.
    void replace_by(const std::string& text, std::filesystem::perms permissions) {
        const std::string aside = folder_ / "new";
        std::ofstream(aside) << text;
        std::filesystem::permissions(aside, permissions);
        std::filesystem::rename(aside, program_);
    }
    void remove() { std::filesystem::remove(program_); }

    Example& server() { return server_; }
    HttpClient client() const { return HttpClient(port_); }
    std::uint16_t port() const { return port_; }

private:
    test::Folder folder_;
    std::string program_;
    Example server_;
    std::uint16_t port_ = 0;
};

TEST_CASE("http_server: SIGUSR2 replaces the master, and a connection that was open goes on") {
    Copy copy(test::each_kind_of_mode());
    HttpClient client = copy.client();
    HttpClient silent = copy.client();
    const pid_t old_master = copy.server().pid();
    CHECK(master_of(client) == old_master);
    HttpClient busy = copy.client();
    busy.send("GET", "/sleep/500");
    copy.server().signal(SIGUSR2);
    const auto deadline = std::chrono::steady_clock::now() + upgrade_patience;
    pid_t master = old_master;
    while (master == old_master && std::chrono::steady_clock::now() < deadline) {
        HttpClient visitor = copy.client();
        CHECK(visitor.get("/").body == "Hello World\n");
        master = master_of(client);
    }
    REQUIRE(master != old_master);
    test::Watched new_master(master);
    CHECK(busy.answer().body == "slept 500 ms\n");
    CHECK(copy.server().wait() == cohort::ExitStatus::exited(0));
    CHECK(master_of(client) == master);
    CHECK(master_of(silent) == master);
    CHECK(master_of(busy) == master);
    ::kill(master, SIGTERM);
    CHECK(new_master.ends_within(upgrade_patience));
    CHECK(client.ends());
    CHECK(HttpClient::is_released(copy.port()));
}

TEST_CASE("http_server: a new release to which a link leads is what starts, in its folder") {
    const test::Folder folder;
    const std::filesystem::path current = folder / "current";
    const auto release = [&](const char* name) {
        const std::filesystem::path place = folder / name;
        std::filesystem::create_directory(place);
        std::filesystem::copy_file(Example::path_of("http_server"), place / "server");
        std::filesystem::remove(current);
        std::filesystem::create_directory_symlink(name, current);
        return std::filesystem::canonical(place);
    };
    release("first");
    std::string start;
    SUBCASE("by its whole path") { start = R"(cd "$0" && exec "$0"/server --port 0 --workers 1)"; }
    SUBCASE("by its path from where it is") { start = R"(cd "$0" && exec ./server --port 0 --workers 1)"; }
    CAPTURE(start);
    Example server("/bin/sh", {"-c", "export PWD; " + start, current.native()});
    HttpClient client(server.port_after("http_server: listening on "));
    const pid_t old_master = master_of(client);
    const auto second = release("second");
    server.signal(SIGUSR2);
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
    const pid_t master = master_of(client);
    REQUIRE(master != old_master);
    test::Watched new_master(master);
    const std::filesystem::path process = "/proc/" + std::to_string(master);
    CHECK(std::filesystem::read_symlink(process / "exe") == second / "server");
    CHECK(std::filesystem::read_symlink(process / "cwd") == second);
    ::kill(master, SIGTERM);
    CHECK(new_master.ends_within(upgrade_patience));
}

/// The files of a process that have a path, by their descriptors; no sockets, pipes or the like.
std::map<int, std::string> files_of(pid_t pid) {
    std::map<int, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        std::error_code closed;
        const std::string target = std::filesystem::read_symlink(entry.path(), closed);
        const int fd = std::stoi(entry.path().filename());
        if (!closed && fd > STDERR_FILENO && std::filesystem::is_regular_file(target, closed)) files[fd] = target;
    }
    return files;
}

TEST_CASE("http_server: a new master has the files that the first one was started with, and no other") {
    const test::Folder folder;
    const std::string given = folder / "given";
    Example server("/bin/sh",
                   {"-c", "exec 7>\"$1\" \"$0\" --port 0 --workers 1", Example::path_of("http_server"), given});
    HttpClient client(server.port_after("http_server: listening on "));
    pid_t master = master_of(client);
    const auto wanted = files_of(master); // whoever runs the tests may have given it more
    CHECK(wanted.at(7) == given);
    std::vector<test::Watched> masters;
    for (int upgrade = 0; upgrade != 3; ++upgrade) {
        ::kill(master, SIGUSR2);
        const auto deadline = std::chrono::steady_clock::now() + upgrade_patience;
        const pid_t old_master = master;
        while (master == old_master && std::chrono::steady_clock::now() < deadline) master = master_of(client);
        REQUIRE(master != old_master);
        masters.emplace_back(master);
        CHECK(files_of(master) == wanted);
    }
    ::kill(master, SIGTERM);
    for (const test::Watched& each : masters) CHECK(each.ends_within(upgrade_patience));
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
}

/// Asks on one connection, and another when told that this one closes, and counts the answers that do not come.
void keep_asking(const std::stop_token& stop, std::uint16_t port, std::atomic<int>& failed) {
    while (!stop.stop_requested()) {
        try {
            HttpClient client(port);
            while (!stop.stop_requested() && client.get("/sleep/20").field("connection") != "close") {
            }
        } catch (const std::exception&) {
            ++failed;
        }
    }
}

/// As killall(1) does it, again and again.
void keep_upgrading(const std::stop_token& stop, const std::atomic<pid_t>& master) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    while (!stop.stop_requested()) {
        std::vector<pid_t> all{master};
        for (std::size_t i = 0; i != all.size(); ++i) {
            const auto below = test::children_of(all[i]);
            all.insert(all.end(), below.begin(), below.end());
        }
        for (const pid_t process : all) ::kill(process, SIGUSR2);
        std::unique_lock lock(mutex);
        stopped.wait_for(lock, stop, 10ms, [] { return false; });
    }
}

/// The master that says next that it listens; 0: nobody is left who could.
pid_t next_master(Example& server) {
    while (const auto line = server.line())
        if (line->starts_with("http_server: listening on ")) return std::stoi(line->substr(line->rfind(' ')));
    return 0;
}

TEST_CASE("http_server: upgrades one upon another leave one master, and every request is answered") {
    const std::string mode = test::each_kind_of_mode();
    for (const bool to_all : {false, true}) {
        CAPTURE(to_all);
        Example server("http_server", {"--port", "0", "--workers", "2", "--mode", mode});
        const std::uint16_t port = server.port_after("http_server: listening on ");
        std::atomic<int> failed = 0;
        std::vector<std::jthread> clients;
        for (int i = 0; i != 6; ++i) clients.emplace_back(keep_asking, port, std::ref(failed));
        std::atomic<pid_t> master = server.pid();
        std::vector<test::Watched> before;
        std::jthread upgrading;
        if (to_all) upgrading = std::jthread(keep_upgrading, std::cref(master));
        for (int upgrade = 0; upgrade != 4; ++upgrade) {
            before.emplace_back(master);
            if (!to_all) ::kill(master, SIGUSR2);
            master = next_master(server);
            REQUIRE(master != 0);
        }
        upgrading = {};
        clients.clear();
        CHECK(failed == 0);
        for (const test::Watched& each : before) CHECK(each.ends_within(upgrade_patience));
        while (master != 0) { // the last signals may have made one more
            const test::Watched last(master);
            ::kill(master, SIGTERM);
            CHECK(last.ends_within(upgrade_patience));
            master = next_master(server);
        }
        CHECK(HttpClient::is_released(port));
    }
}

TEST_CASE("http_server: an upgrade waits for the master before to leave, and a reload does not wait for the upgrade") {
    Copy copy(test::each_kind_of_mode());
    HttpClient busy = copy.client();
    busy.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    CHECK(busy.read(true).value().status == 100);
    copy.server().signal(SIGUSR2);
    const pid_t second = next_master(copy.server());
    REQUIRE(second != 0);
    const test::Watched watched(second);
    // The one that is not busy leaves when the second master is ready; until then signals are the first one's.
    CHECK(test::eventually([&] {
        std::vector<pid_t> left = test::children_of(copy.server().pid());
        std::erase(left, second);
        return left.size() == 1;
    }));
    const std::vector<pid_t> workers = test::children_of(second);
    CHECK(workers.size() == 2);
    ::kill(second, SIGUSR2);
    CHECK(test::eventually([&] { return !test::is_pending(SIGUSR2, second); }));
    ::kill(second, SIGHUP);
    CHECK(test::eventually([&] {
        const auto now = test::children_of(second);
        return now.size() == 2 && std::ranges::find_first_of(now, workers) == now.end();
    }));
    busy.send("hello");
    CHECK(busy.answer().body == "hello");
    const pid_t third = next_master(copy.server());
    REQUIRE(third != 0);
    const test::Watched last(third);
    CHECK(watched.ends_within(upgrade_patience));
    ::kill(third, SIGTERM);
    CHECK(last.ends_within(upgrade_patience));
}

TEST_CASE("http_server: a new program that does not get ready changes nothing, and the reason is told") {
    using std::filesystem::perms;
    Copy copy(test::each_kind_of_mode());
    HttpClient client = copy.client();
    const auto fails = [&](const char* fault) {
        CAPTURE(std::string(fault));
        for (int i = 0; i < 5; ++i) {
            copy.server().signal(SIGUSR2);
            CHECK(copy.server().after("cohort: upgrade: ") == "the new worker did not become ready");
            CHECK(master_of(client) == copy.server().pid());
        }
    };
    copy.replace_by("#!/bin/sh\nexit 3\n", perms::owner_all);
    fails("it ends at once");
    copy.replace_by("nonsense\n", perms::owner_all);
    fails("it is no program");
    copy.replace_by("#!/bin/sh\n", perms::owner_read);
    fails("it may not be run");
    copy.remove();
    fails("it is gone");
    copy.server().signal(SIGTERM);
    CHECK(copy.server().wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("http_server: a signal for the master that reaches the new one before it is ready does not end it") {
    using std::filesystem::perms;
    for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
        CAPTURE(signal);
        const test::Folder folder;
        const std::string gate = folder / "gate"; // a named pipe that it reads to its end first
        REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
        Copy copy("round-robin");
        copy.replace_by("#!/bin/sh\necho pid $$\nread line < " + gate + "\nexec " + Example::path_of("http_server") +
                            " \"$@\"\n",
                        perms::owner_all);
        HttpClient client = copy.client();
        CHECK(master_of(client) == copy.server().pid());
        copy.server().signal(SIGUSR2);
        const pid_t new_master = std::stoi(copy.server().after("pid "));
        test::Watched watched(new_master);
        ::kill(new_master, signal);
        std::ofstream{gate};
        CHECK(copy.server().wait() == cohort::ExitStatus::exited(0));
        CHECK(master_of(client) == new_master);
        ::kill(new_master, SIGTERM);
        CHECK(watched.ends_within(upgrade_patience));
    }
}

TEST_CASE("http_server: a stop wins over a new program that takes its time") {
    Copy copy(test::each_kind_of_mode());
    copy.replace_by("#!/bin/sh\necho new\nexec sleep 60\n", std::filesystem::perms::owner_all);
    copy.server().signal(SIGUSR2);
    CHECK(copy.server().after("new").empty());
    copy.server().signal(SIGTERM);
    CHECK(copy.server().wait() == cohort::ExitStatus::exited(0));
    CHECK(copy.server().rest().find("the cluster is stopping") != std::string::npos);
}

} // namespace
