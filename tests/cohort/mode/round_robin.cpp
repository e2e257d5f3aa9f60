// SPDX-License-Identifier: MIT
// The dispatcher and the intake face to face, in one process.
#include <cohort/mode/round_robin.hpp>

#include <doctest/doctest.h>

#include <support/mode_fixture.hpp>
#include <support/run_for.hpp>

#include <system_error>

using cohort::Endpoint;
using cohort::RoundRobin;
using cohort::Socket;
using cohort::Task;
using namespace cohort::detail;

using Cluster = test::ModeFixture<RoundRobin>;

TEST_CASE("workers that ask for the same port get it, and its connections in turn") {
    Cluster cluster;
    auto& a = cluster.add(0);
    auto& b = cluster.add(1);
    cluster.listen(a, "127.0.0.1:0");
    cluster.listen(b, "127.0.0.1:0");
    CHECK(a.grant.endpoint == b.grant.endpoint);
    CHECK(a.grant.listener != b.grant.listener);
    CHECK(a.grant.descriptor == -1);
    for (int i = 0; i < 10; ++i) REQUIRE(cluster.connect(a.grant.endpoint) == 0);
    cluster.run_until([&] { return a.sockets.size() + b.sockets.size() == 10; });
    CHECK(a.sockets.size() == 5);
}

TEST_CASE("a worker that asks twice for port 0 gets two, and for a port it has the same again") {
    Cluster cluster;
    auto& a = cluster.add(0);
    cluster.open(a, "127.0.0.1:0");
    const Endpoint first = a.grant.endpoint;
    cluster.open(a, "127.0.0.1:0");
    const Endpoint second = a.grant.endpoint;
    CHECK(first.port() != second.port());
    cluster.open(a, second);
    REQUIRE_FALSE(a.grant.error);
    CHECK(a.grant.endpoint == second);
}

TEST_CASE("what a listener had not accepted when it closed is accepted by another") {
    Cluster cluster;
    auto& a = cluster.add(0);
    auto& b = cluster.add(1);
    cluster.open(a, "127.0.0.1:0"); // never accepts
    cluster.open(b, "127.0.0.1:0");
    for (int i = 0; i < 6; ++i) REQUIRE(cluster.connect(a.grant.endpoint) == 0);
    cluster.run_until([&] { return cluster.page.cell(a.target.cell, a.grant.listener).taken == 0; });
    a.intake->close();
    cluster.dispatcher.close(a.target, a.grant.listener);
    test::start(cluster.io, test::accept_all(b.intake, b.sockets, b.ended));
    cluster.run_until([&] { return b.sockets.size() == 6; });
}

TEST_CASE("with the last listener the port is free again, and can be opened again") {
    Cluster cluster;
    auto& a = cluster.add(0);
    cluster.open(a, "127.0.0.1:0");
    const Endpoint endpoint = a.grant.endpoint;
    CHECK(cluster.connect(endpoint) == 0);
    a.intake->close();
    cluster.dispatcher.close(a.target, a.grant.listener);
    test::settle(cluster.io);
    CHECK(cluster.connect(endpoint) == ECONNREFUSED);
    cluster.listen(a, endpoint);
    REQUIRE_FALSE(a.grant.error);
    CHECK(cluster.connect(endpoint) == 0);
    cluster.run_until([&] { return a.sockets.size() == 1; });
}

TEST_CASE("a port that options name is open before and after any worker") {
    Cluster cluster;
    std::error_code error;
    const Endpoint endpoint = local_endpoint(open_listener("127.0.0.1:0", false, 1, error).get());
    cluster.options.listen = {endpoint};
    cluster.dispatcher.prepare();
    CHECK(cluster.connect(endpoint) == 0);
    auto& a = cluster.add(0);
    cluster.listen(a, endpoint);
    cluster.run_until([&] { return a.sockets.size() == 1; });
    a.intake->close();
    cluster.dispatcher.close(a.target, a.grant.listener);
    CHECK(cluster.connect(endpoint) == 0);
    auto& b = cluster.add(0);
    cluster.listen(b, endpoint);
    cluster.run_until([&] { return b.sockets.size() == 1; });
}

TEST_CASE("one worker has at most as many listeners as are left to others") {
    Cluster cluster;
    auto& a = cluster.add(0);
    auto& b = cluster.add(1);
    constexpr std::size_t few = 64;
    while (cluster.page.free_cells() > few) cluster.page.acquire();
    const Endpoint endpoint = cluster.dispatcher.open(a.target, "127.0.0.1:0").endpoint;
    const auto open_all = [&] {
        for (std::size_t i = 0; i <= few; ++i) cluster.dispatcher.open(a.target, endpoint);
    };
    std::error_code error;
    try {
        open_all();
    } catch (const std::system_error& refused) {
        error = refused.code();
    }
    CHECK(error == cohort::Errc::too_many);
    CHECK(cluster.page.free_cells() == few / 2);
    CHECK_NOTHROW(cluster.dispatcher.open(b.target, endpoint));
}

TEST_CASE("who gets no listener leaves no port open") {
    Cluster cluster;
    auto& a = cluster.add(0);
    while (cluster.page.free_cells() != 0) cluster.page.acquire();
    CHECK_THROWS_AS(cluster.dispatcher.open(a.target, "127.0.0.1:0"), std::system_error);
    CHECK(cluster.dispatcher.listeners().empty());
}
