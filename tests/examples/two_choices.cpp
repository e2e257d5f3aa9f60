// SPDX-License-Identifier: MIT
// The example of a scheduler of one's own.
#include "support/example.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <set>
#include <string>

namespace {

TEST_CASE("two choices: every worker gets connections, and the sum is told at the end") {
    test::Example program("two_choices", {"127.0.0.1:0"}, test::Output::out);
    const std::uint16_t port = program.port_after("listening on ");
    std::set<std::string> workers;
    int requests = 0;
    for (; workers.size() < 4; ++requests) {
        REQUIRE(requests < 1'000);
        workers.insert(test::HttpClient(port).get("/").body);
    }
    CHECK(workers == std::set<std::string>{"worker 1\n", "worker 2\n", "worker 3\n", "worker 4\n"});
    program.signal(SIGTERM);
    int sum = 0;
    for (const auto& line : test::lines_of(program.rest())) {
        REQUIRE(line.starts_with("slot "));
        sum += std::stoi(line.substr(line.find(": ") + 2));
    }
    CHECK(sum == requests);
    CHECK(program.wait() == cohort::ExitStatus::exited(0));
}

} // namespace
