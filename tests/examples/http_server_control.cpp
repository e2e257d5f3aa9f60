// SPDX-License-Identifier: MIT
// The demo server, seen and steered by another program through its control socket: under load, at an upgrade, with a
// worker that is stuck.
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"
#include "support/steered_server.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

using namespace std::chrono_literals;
using test::Example;
using test::HttpClient;

namespace {

/// What `steer` says, and how it ends.
std::string steer(const std::string& path, const std::string& command) {
    return test::run_shell(Example::path_of("steer") + " " + path + " " + command + " 2>&1 || echo \"failed: $?\"");
}

pid_t master_in(const std::string& status) { return std::stoi(status.substr(status.find("(process ") + 9)); }

std::size_t lines_with(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++count;
    return count;
}

/// Both workers listen.
struct ListeningServer : test::SteeredServer {
    ListeningServer() {
        REQUIRE(test::eventually([this] { return lines_with(steer(path, "status"), "listening") == 2; }));
    }
};

} // namespace

TEST_CASE("http_server: another program lists its workers, reloads, restarts, scales and stops it, under load") {
    ListeningServer one;
    test::BusyClients clients(one.port, 4);
    const std::string status = steer(one.path, "status");
    CHECK(master_in(status) == one.example.pid());
    CHECK(lines_with(status, "listening") == 2);
    CHECK(steer(one.path, "reload") == "2 replaced\n");
    CHECK(lines_with(steer(one.path, "status"), "worker 3 ") == 1);
    CHECK(steer(one.path, "restart 3") == "1 replaced\n");
    CHECK(steer(one.path, "restart 3").find("no living worker has this id") != std::string::npos);
    CHECK(steer(one.path, "scale 3").empty());
    CHECK(test::eventually([&] { return lines_with(steer(one.path, "status"), "listening") == 3; }));
    CHECK(steer(one.path, "scale 2").empty());
    CHECK(clients.stop() == 0);
    CHECK(steer(one.path, "stop").empty());
    CHECK(one.example.wait() == cohort::ExitStatus::exited(0));
    CHECK(::access(one.path.c_str(), F_OK) != 0);
    CHECK(steer(one.path, "status").find("No such file") != std::string::npos);
}

TEST_CASE("http_server: its control socket stays where it is through an upgrade, and shows the new master then") {
    ListeningServer one;
    const pid_t first = one.example.pid();
    CHECK(steer(one.path, "upgrade") == "2 replaced\n");
    CHECK(one.example.wait() == cohort::ExitStatus::exited(0));
    CHECK(::access(one.path.c_str(), F_OK) == 0);
    const std::string status = steer(one.path, "status");
    const pid_t second = master_in(status);
    const test::Watched watched(second);
    CHECK(second != first);
    CHECK(lines_with(status, "listening") == 2);
    CHECK(steer(one.path, "reload") == "2 replaced\n");
    CHECK(HttpClient(one.port).get("/").status == 200);
    CHECK(steer(one.path, "stop").empty());
    CHECK(watched.ends_within(20s));
    CHECK(::access(one.path.c_str(), F_OK) != 0);
}

/// The new program has its control socket elsewhere, or none at all.
TEST_CASE("http_server: an upgrade to a program with another control socket leaves no file of the one before") {
    for (const bool has_one : {true, false}) {
        CAPTURE(has_one);
        const test::Folder folder;
        const std::string program = folder / "server", before = folder / "before", after = folder / "after";
        std::filesystem::copy_file(Example::path_of("http_server"), program);
        const std::vector<std::string> args{"--port", "0", "--workers", "1", "--control", before};
        Example server(program, args);
        server.port_after("http_server: listening on ");
        std::filesystem::remove(program);
        std::ofstream(program) << "#!/bin/sh\necho process $$\nexec " << Example::path_of("http_server")
                               << " --port 0 --workers 1" << (has_one ? " --control " + after : "") << "\n";
        std::filesystem::permissions(program, std::filesystem::perms::owner_all);
        CHECK(steer(before, "upgrade") == "1 replaced\n");
        const int master = server.number_after("process ");
        const test::Watched watched(master);
        CHECK(server.wait() == cohort::ExitStatus::exited(0));
        CHECK_FALSE(std::filesystem::exists(before));
        CHECK(std::filesystem::exists(after) == has_one);
        if (has_one) CHECK(lines_with(steer(after, "status"), "listening") == 1);
        ::kill(master, SIGTERM);
        CHECK(watched.ends_within(20s));
        CHECK_FALSE(std::filesystem::exists(after));
    }
}

TEST_CASE("http_server: it is seen and steered also with a worker that is stopped") {
    ListeningServer one;
    const std::vector<pid_t> workers = test::children_of(one.example.pid());
    ::kill(workers.at(0), SIGSTOP);
    CHECK(lines_with(steer(one.path, "status"), "listening") == 2);
    CHECK(steer(one.path, "reload") == "2 replaced\n");
    ::kill(workers.at(0), SIGKILL);
    CHECK(test::eventually([&] { return lines_with(steer(one.path, "status"), "listening") == 2; }));
    CHECK(steer(one.path, "stop").empty());
    CHECK(one.example.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("http_server: who follows what happens is told everything, to the last worker's end") {
    ListeningServer one;
    test::Helper follower([&one] {
        const std::string program = Example::path_of("steer");
        ::execl(program.c_str(), program.c_str(), one.path.c_str(), "events", nullptr);
        return 119;
    });
    CHECK(follower.line().value_or("").starts_with("1  worker 1  slot 0  forked"));
    const std::vector<pid_t> workers = test::children_of(one.example.pid());
    ::kill(workers.at(0), SIGKILL);
    bool was_killed = false;
    while (const auto line = follower.line()) {
        was_killed = was_killed || line->find("killed by SIGKILL") != std::string::npos;
        if (line->find("worker 3  slot 0  listening") != std::string::npos) break;
    }
    CHECK(was_killed);
    one.example.signal(SIGTERM);
    const std::string rest = follower.rest();
    CHECK(follower.wait() == cohort::ExitStatus::exited(0));
    CHECK(lines_with(rest, "exited with code 0") == 2);
    CHECK(one.example.wait() == cohort::ExitStatus::exited(0));
}
