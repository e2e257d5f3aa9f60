// SPDX-License-Identifier: MIT
// The short examples, each run as a user would.
#include "support/example.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <set>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using test::Example;
using test::HttpClient;

namespace {

std::string get(std::uint16_t port, const std::string& target) { return HttpClient(port).get(target).body; }

/// Waits until every worker listens; gives their port.
std::uint16_t all_listen(Example& example) {
    std::set<std::uint16_t> ports;
    for (unsigned i = 0; i < test::usable_cpus(); ++i) {
        const std::string line = example.after("Worker ");
        REQUIRE(line.find(" listens on ") != std::string::npos);
        ports.insert(Example::port_in(line));
    }
    REQUIRE(ports.size() == 1);
    return *ports.begin();
}

/// Connects until nobody listens any more.
void until_refused(std::uint16_t port) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!HttpClient::is_refused(port)) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        std::this_thread::sleep_for(1ms);
    }
}

/// A connection with a request under way that takes so long: it has arrived, for certain, when the one before it on
/// the same connection is answered.
HttpClient sleeping(std::uint16_t port, std::chrono::milliseconds time) {
    HttpClient client(port);
    client.send("GET /sleep/0 HTTP/1.1\r\nHost: test\r\n\r\nGET /sleep/" + std::to_string(time.count()) +
                " HTTP/1.1\r\nHost: test\r\n\r\n");
    CHECK(client.answer().body == "slept 0 ms\n");
    return client;
}

/// Asked to end, it does so with code 0, and leaves no process behind that could still write.
std::string end(Example& example) {
    example.signal(SIGINT);
    std::string rest = example.rest();
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
    return rest;
}

} // namespace

TEST_CASE("hello_workers: a worker for each CPU says hello, and the program ends") {
    Example example("hello_workers");
    CHECK(example.line() == "Master " + std::to_string(example.pid()) + " is running");
    const auto lines = test::lines_of(example.rest());
    CHECK(lines.size() == test::usable_cpus());
    CHECK(std::set(lines.begin(), lines.end()).size() == lines.size()); // each another process
    for (const std::string& line : lines) {
        CHECK(line.starts_with("Worker "));
        CHECK(line.ends_with(" started and finished"));
        CHECK(line.find(std::to_string(example.pid())) == std::string::npos);
    }
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("messages: go both ways between the master and each worker") {
    Example example("messages");
    std::multiset<std::string> expected;
    for (unsigned i = 1; i <= test::usable_cpus(); ++i) {
        const std::string id = std::to_string(i);
        expected.insert("Master receives 'Message from worker " + id + "' from worker " + id);
        expected.insert("Worker " + id + " receives 'Message from master to worker " + id + "'");
    }
    CHECK(test::lines_of(example.rest()) == expected);
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("http_hello: all workers answer on one port, in turn") {
    Example example("http_hello", {"0"});
    const std::uint16_t port = all_listen(example);
    std::multiset<std::string> answers;
    std::multiset<std::string> expected;
    for (unsigned id = 1; id <= test::usable_cpus(); ++id) {
        for (int i = 0; i < 3; ++i) {
            answers.insert(get(port, "/"));
            expected.insert("Hello World from worker " + std::to_string(id) + "\n");
        }
    }
    CHECK(answers == expected);
    CHECK(end(example).empty());
}

TEST_CASE("respawn: each request is answered although the worker dies after it") {
    Example example("respawn", {"0"});
    const std::uint16_t port = example.port_after("Worker ");
    for (int i = 0; i < 12; ++i) CHECK(get(port, "/") == "Hello World\n");
    std::set<std::string> dead;
    while (dead.size() < 12) {
        const std::string line = example.after("Worker ");
        const std::size_t died = line.find(" died: exited with code 1");
        if (died != std::string::npos) dead.insert(line.substr(0, died));
    }
    CHECK(get(port, "/") == "Hello World\n");
    end(example);
}

TEST_CASE("router: a route with a parameter, without it, and no route") {
    Example example("router", {"0"});
    const std::uint16_t port = example.port_after("App listening on port ");
    HttpClient client(port);
    CHECK(client.get("/hello/John").body == "Hello John !!!\n");
    CHECK(client.get("/hello/Jane%20Doe?x=1").body == "Hello Jane Doe !!!\n");
    CHECK(client.get("/hello").body == "Hello World !!!\n");
    CHECK(client.get("/hello/").body == "Hello World !!!\n");
    CHECK(client.get("/").status == 404);
    CHECK(client.get("/hello/John/Smith").status == 404);
    end(example);
}

TEST_CASE("graceful: what is under way is answered, nothing new is accepted, each worker cleans up") {
    Example example("graceful", {"0"});
    const std::uint16_t port = all_listen(example);
    HttpClient client = sleeping(port, 700ms);
    example.signal(SIGINT);
    until_refused(port);
    const test::HttpReply answer = client.answer();
    CHECK(answer.status == 200);
    CHECK(answer.body == "slept 700 ms\n");
    CHECK(client.ends());
    std::multiset<std::string> expected;
    for (unsigned id = 1; id <= test::usable_cpus(); ++id)
        expected.insert("Worker " + std::to_string(id) + " cleaned up");
    CHECK(test::lines_of(example.rest()) == expected);
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("graceful: what takes longer than the grace period is cut") {
    Example example("graceful", {"0"});
    HttpClient client = sleeping(all_listen(example), 60s);
    const auto begin = std::chrono::steady_clock::now();
    example.signal(SIGINT);
    CHECK(client.ends());
    CHECK(std::chrono::steady_clock::now() - begin > 4900ms);
    CHECK(test::lines_of(example.rest()).size() ==
          test::usable_cpus() - 1); // all cleaned up but the one that was killed
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("graceful: a second signal ends it at once") {
    Example example("graceful", {"0"});
    const std::uint16_t port = all_listen(example);
    HttpClient client = sleeping(port, 60s);
    const auto begin = std::chrono::steady_clock::now();
    example.signal(SIGINT);
    until_refused(port);
    example.signal(SIGINT);
    CHECK(client.ends());
    CHECK(std::chrono::steady_clock::now() - begin < 4s);
    CHECK(test::lines_of(example.rest()).size() < test::usable_cpus());
    CHECK(example.wait() == cohort::ExitStatus::exited(0));
}
