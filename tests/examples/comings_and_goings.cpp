// SPDX-License-Identifier: MIT
// The examples in which workers are replaced, die, or are as many as are needed.
#include "support/example.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <vector>

using test::Example;
using test::HttpClient;

namespace {

/// Who answers the line.
std::string worker_of(HttpClient& client, int number, const std::string& text) {
    client.send(text.substr(text.find(' ')) + "\n");
    const std::string answer = client.line();
    const std::string rest = ", line " + std::to_string(number) + ": " + text;
    REQUIRE(answer.ends_with(rest));
    client.send(text.substr(0, text.find(' '))); // the next one's begin
    return answer.substr(0, answer.size() - rest.size());
}

/// Waits until every worker, or the successor of each, listens; gives their port.
std::uint16_t all_listen(Example& example) {
    std::uint16_t port = 0;
    for (unsigned i = 0; i < test::usable_cpus(); ++i) port = Example::port_in(example.after("Worker "));
    return port;
}

int end(Example& example) {
    example.signal(SIGINT);
    example.rest();
    return example.wait().code().value_or(-1);
}

} // namespace

TEST_CASE("handover: the lines of a connection are counted on by the workers of each reload") {
    Example example("handover", {"0"});
    HttpClient client(all_listen(example));
    client.send("Hello");
    int line = 0;
    std::string worker = worker_of(client, ++line, "Hello World");
    for (int reload = 0; reload < 3; ++reload) {
        example.signal(SIGHUP);
        all_listen(example);
        const std::string before = worker;
        while (worker == before) worker = worker_of(client, ++line, "Hello World");
    }
    CHECK(end(example) == 0);
    CHECK(client.ends());
}

TEST_CASE("cron: another worker goes on when the one that does the job is killed") {
    Example example("cron", {"10"});
    std::string leader = example.after("Worker ");
    for (int deaths = 0; deaths < 3; ++deaths) {
        CHECK(leader.ends_with(" does the job"));
        for (int i = 0; i < 3; ++i) CHECK(example.after("Worker ") == leader);
        ::kill(std::stoi(leader), SIGKILL);
        const std::string dead = leader;
        while (leader == dead) leader = example.after("Worker ");
    }
    CHECK(end(example) == 0);
}

TEST_CASE("scaling: connections bring workers, and their end sends them away") {
    Example example("scaling", {"0"});
    const std::uint16_t port = example.port_after("Worker 1 listens on ");
    {
        std::vector<HttpClient> clients;
        for (int i = 0; i < 40; ++i) {
            clients.emplace_back(port);
            CHECK(clients.back().get("/").body == "Hello World\n");
        }
        for (const std::string id : {"2", "3", "4"}) CHECK(example.port_after("Worker " + id + " listens on ") == port);
    }
    for (const std::string id : {"4", "3", "2"}) CHECK(example.line() == "Worker " + id + " has gone");
    CHECK(HttpClient(port).get("/").body == "Hello World\n");
    CHECK(end(example) == 0);
}
