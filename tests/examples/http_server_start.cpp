// SPDX-License-Identifier: MIT
// The demo server started by somebody who left things odd: closed streams, ignored and blocked signals.
#include "support/example.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

using cohort::ExitStatus;
using test::children_of;
using test::Example;
using test::HttpClient;

namespace {

std::string target_of(pid_t pid, int fd) {
    std::error_code gone;
    return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd), gone);
}

/// By a shell that says this first; what it has for arguments then runs the program.
Example start(const std::string& before, const std::string& behind = "") {
    const std::string command = before + " exec \"$@\" \"$0\" --port 0 --workers 2 " + behind;
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
        CHECK(test::eventually([&] { return children_of(server.pid()).size() == 2; }));
        std::vector<pid_t> processes = children_of(server.pid());
        processes.push_back(server.pid());
        for (const pid_t process : processes)
            for (int fd = 0; fd != 3; ++fd)
                if ((which >> fd & 1U) != 0) CHECK(target_of(process, fd) == "/dev/null");
        server.signal(SIGTERM);
        CHECK(server.wait() == ExitStatus::exited(0));
    }
}

TEST_CASE("http_server: signals that were ignored or blocked by whoever started it do not keep it from its work") {
    const std::string all_blocked = "set -- python3 -c 'import os, signal, sys; "
                                    "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); "
                                    "os.execv(sys.argv[1], sys.argv[1:])';";
    for (const std::string& before : {std::string("trap '' CHLD;"), std::string("trap '' TERM INT QUIT CHLD;"),
                                      std::string("trap '' PIPE ALRM CONT;"), all_blocked}) {
        CAPTURE(before);
        Example server = start(before);
        const std::uint16_t port = server.port_after("http_server: listening on ");
        CHECK(test::eventually([&] { return children_of(server.pid()).size() == 2; }));
        const auto first = children_of(server.pid());
        for (const pid_t worker : first) ::kill(worker, SIGKILL);
        CHECK(test::eventually([&] {
            const auto second = children_of(server.pid());
            return second.size() == 2 && std::ranges::find_first_of(second, first) == second.end();
        }));
        CHECK(HttpClient(port).get("/").body == "Hello World\n");
        server.signal(SIGTERM);
        CHECK(server.wait() == ExitStatus::exited(0));
    }
}
