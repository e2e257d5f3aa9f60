// SPDX-License-Identifier: MIT
// The dispatcher and the intake face to face, in one process.
#include <cohort/mode/shared_socket.hpp>

#include <doctest/doctest.h>

#include <support/faulty_system.hpp>
#include <support/mode_fixture.hpp>
#include <support/run_for.hpp>

#include <deque>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using cohort::Endpoint;
using cohort::SharedSocket;
using cohort::Socket;
using cohort::Task;
using namespace cohort::detail;

using Cluster = test::ModeFixture<SharedSocket>;

TEST_CASE("each slot has a socket of its own on the same port, and all connections are accepted") {
    Cluster cluster;
    auto& a = cluster.add(0);
    auto& b = cluster.add(1);
    cluster.listen(a, "127.0.0.1:0");
    cluster.listen(b, "127.0.0.1:0");
    CHECK(a.grant.endpoint == b.grant.endpoint);
    CHECK(a.grant.descriptor != b.grant.descriptor);
    for (int i = 0; i < 40; ++i) REQUIRE(cluster.connect(a.grant.endpoint) == 0);
    cluster.run_until([&] { return a.sockets.size() + b.sockets.size() == 40; });
    CHECK(a.sockets.size() > 0);
    CHECK(b.sockets.size() > 0);
}

TEST_CASE("a successor in the slot continues with the same socket and its queue") {
    Cluster cluster;
    auto& a = cluster.add(0);
    cluster.open(a, "127.0.0.1:0"); // never accepts
    for (int i = 0; i < 5; ++i) REQUIRE(cluster.connect(a.grant.endpoint) == 0);
    a.intake->close();
    cluster.dispatcher.leave(a.target, true);
    auto& b = cluster.add(0);
    cluster.listen(b, "127.0.0.1:0");
    CHECK(b.grant.endpoint == a.grant.endpoint);
    CHECK(b.grant.descriptor == a.grant.descriptor);
    cluster.run_until([&] { return b.sockets.size() == 5; });
}

TEST_CASE("the queue of a slot that nobody serves goes to the workers that there are") {
    Cluster cluster;
    auto& a = cluster.add(0);
    auto& b = cluster.add(1);
    cluster.listen(a, "127.0.0.1:0");
    cluster.open(b, "127.0.0.1:0"); // never accepts
    for (int i = 0; i < 40; ++i) REQUIRE(cluster.connect(a.grant.endpoint) == 0);
    b.intake->close();
    cluster.dispatcher.leave(b.target, true);
    cluster.run_until([&] { return a.sockets.size() == 40; });
}

TEST_CASE("a port that somebody else listens on is not joined, although sharing it would be possible") {
    Cluster cluster;
    std::error_code error;
    const auto foreign = open_listener("127.0.0.1:0", true, 10, error);
    auto& a = cluster.add(0);
    cluster.open(a, local_endpoint(foreign.get()));
    CHECK(a.grant.error == std::errc::address_in_use);
}

TEST_CASE("stopped, an intake still gives what was handed over, then ends") {
    Cluster cluster;
    auto& a = cluster.add(0);
    cluster.listen(a, "127.0.0.1:0");
    test::settle(cluster.io);
    std::vector<TransferredConnection> connections;
    test::Connection connection;
    connections.emplace_back(std::move(connection.server));
    a.intake->deliver(0, 1, std::move(connections));
    a.intake->stop(false);
    cluster.run_until([&] { return a.ended; });
    CHECK(a.sockets.size() == 1);
}

TEST_CASE("without descriptors accepting rests, for several that wait, and goes on") {
    Cluster cluster;
    auto& a = cluster.add(0);
    cluster.open(a, "127.0.0.1:0");
    test::FaultySystem system;
    system.accept_failure = EMFILE;
    std::deque<Socket> sockets;
    bool first = false;
    bool second = false;
    test::start(cluster.io, test::accept_all(a.intake, sockets, first));
    test::start(cluster.io, test::accept_all(a.intake, sockets, second));
    REQUIRE(cluster.connect(a.grant.endpoint) == 0);
    test::run_for(cluster.io, test::sleep_for(std::chrono::milliseconds(120)));
    CHECK(system.accepts < 20);
    system.accept_failure = 0;
    cluster.run_until([&] { return sockets.size() == 1; });
    a.intake->close();
    cluster.run_until([&] { return first && second; });
}

TEST_CASE("all workers share the one socket of a Unix path") {
    Cluster cluster;
    const auto endpoint = Endpoint::unix_path(
        (std::filesystem::temp_directory_path() / ("cohort-" + std::to_string(::getpid()))).string());
    auto& a = cluster.add(0);
    auto& b = cluster.add(1);
    cluster.listen(a, endpoint);
    cluster.listen(b, endpoint);
    REQUIRE_FALSE(b.grant.error);
    CHECK(a.grant.descriptor == b.grant.descriptor);
    for (int i = 0; i < 10; ++i) REQUIRE(cluster.connect(endpoint) == 0);
    cluster.run_until([&] { return a.sockets.size() + b.sockets.size() == 10; });
    a.intake->close();
    b.intake->close();
    cluster.dispatcher.close(a.target, a.grant.listener);
    CHECK(std::filesystem::exists(endpoint.path()));
    cluster.dispatcher.close(b.target, b.grant.listener);
    CHECK_FALSE(std::filesystem::exists(endpoint.path()));
}
