// SPDX-License-Identifier: MIT
// The demo server started by somebody who left things odd: closed streams, ignored and blocked signals.
#include "support/example.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using cohort::ExitStatus;
using test::Example;
using test::HttpClient;

namespace {

std::vector<pid_t> children_of(pid_t pid) {
    const std::string number = std::to_string(pid);
    std::ifstream list("/proc/" + number + "/task/" + number + "/children");
    std::vector<pid_t> children;
    for (pid_t child = 0; list >> child;) children.push_back(child);
    return children;
}

/// Its children when there are so many, or those that there are at the deadline.
std::vector<pid_t> workers_of(pid_t master, std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    auto workers = children_of(master);
    while (workers.size() != count && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(1ms);
        workers = children_of(master);
    }
    return workers;
}

std::string target_of(pid_t pid, int fd) {
    std::error_code gone;
    return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd), gone);
}

/// By a shell that says this first.
Example start(const std::string& before, const std::string& behind = "") {
    const std::string command = before + " exec \"$0\" --port 0 --workers 2 " + behind;
    return Example("/bin/sh", {"-c", command, Example::path_of("http_server")});
}

} // namespace

TEST_CASE("http_server: whichever of the standard streams are closed, no other file gets their numbers") {
    const char* const closed[] = {"0<&-", "1>&-", "2>&-"};
    for (unsigned which = 1; which != 8; ++which) {
        CAPTURE(which);
        std::string behind;
        for (unsigned fd = 0; fd != 3; ++fd)
            if ((which >> fd & 1U) != 0) behind.append(" ").append(closed[fd]);
        Example server = start("", behind);
        std::vector<pid_t> processes = workers_of(server.pid(), 2);
        CHECK(processes.size() == 2);
        processes.push_back(server.pid());
        for (const pid_t process : processes)
            for (int fd = 0; fd != 3; ++fd)
                if ((which >> fd & 1U) != 0) CHECK(target_of(process, fd) == "/dev/null");
        server.signal(SIGTERM);
        CHECK(server.wait() == ExitStatus::exited(0));
    }
}

TEST_CASE("http_server: signals that were ignored by whoever started it do not keep it from its work") {
    for (const char* const before : {"trap '' CHLD;", "trap '' TERM INT QUIT CHLD;", "trap '' PIPE ALRM CONT;"}) {
        CAPTURE(std::string(before));
        Example server = start(before);
        const std::uint16_t port = server.port_after("http_server: listening on ");
        const auto first = workers_of(server.pid(), 2);
        REQUIRE(first.size() == 2);
        for (const pid_t worker : first) ::kill(worker, SIGKILL);
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        auto second = first;
        const auto replaced = [&] {
            return second.size() == 2 && std::ranges::find_first_of(second, first) == second.end();
        };
        while (!replaced() && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(1ms);
            second = children_of(server.pid());
        }
        CHECK(replaced());
        CHECK(HttpClient(port).get("/").body == "Hello World\n");
        server.signal(SIGTERM);
        CHECK(server.wait() == ExitStatus::exited(0));
    }
}
