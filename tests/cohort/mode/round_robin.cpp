// SPDX-License-Identifier: MIT
// The dispatcher and the intake face to face, in one process.
#include <cohort/mode/round_robin.hpp>

#include <doctest/doctest.h>

#include <support/links.hpp>
#include <support/run_for.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using cohort::Endpoint;
using cohort::RoundRobin;
using cohort::Socket;
using cohort::Task;
using namespace cohort::detail;

namespace {

Task<> accept_all(std::shared_ptr<cohort::Intake> intake, std::deque<Socket>& sockets, bool& ended) {
    for (;;) {
        auto socket = co_await intake->accept();
        if (!socket) break;
        sockets.push_back(std::move(*socket));
    }
    ended = true;
}

struct Cluster {
    struct Worker : test::FakeWorker {
        using FakeWorker::FakeWorker;
        cohort::Grant grant;
        std::shared_ptr<RoundRobin::Intake> intake;
        std::deque<Socket> sockets;
        bool ended = false;
    };

    ~Cluster() {
        for (auto& worker : workers) {
            if (worker.intake) worker.intake->close();
            worker.link->close();
            worker.member.link->close();
        }
        test::settle(io);
    }
    Worker& add(unsigned slot) {
        return workers.emplace_back(io.get_executor(), static_cast<cohort::WorkerId>(workers.size() + 1), slot);
    }
    void open(Worker& worker, const Endpoint& endpoint) {
        worker.grant = dispatcher.open(worker.member, endpoint);
        if (worker.grant.error) return;
        worker.intake = std::make_shared<RoundRobin::Intake>(
            cohort::IntakeContext{io.get_executor(), worker.link, worker.grant.listener, page[worker.grant.listener],
                                  worker.grant.endpoint, UniqueFd()});
    }
    void listen(Worker& worker, const Endpoint& endpoint) {
        open(worker, endpoint);
        if (worker.intake) test::start(io, accept_all(worker.intake, worker.sockets, worker.ended));
    }
    void run_until(const std::function<bool()>& done) {
        test::run_until(io, [&] {
            for (auto& worker : workers)
                while (auto packet = worker.link->try_receive())
                    if (const auto* some = std::get_if<Connections>(&packet->message))
                        worker.intake->deliver(some->first, some->count, std::move(packet->descriptors));
            for (auto& worker : workers)
                while (auto packet = worker.member.link->try_receive())
                    if (const auto* some = std::get_if<GivenBack>(&packet->message))
                        for (auto& connection : packet->descriptors)
                            dispatcher.give_back(some->endpoint, std::move(connection));
            return done();
        });
    }
    int connect(const Endpoint& endpoint) {
        std::error_code error;
        const auto address = to_socket_address(endpoint, error);
        auto& client = clients.emplace_back(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        return ::connect(client.get(), address.get(), address.size) == 0 ? 0 : errno;
    }

    asio::io_context io;
    SharedPage page;
    cohort::Options options{.backlog = 100, .credit = 4};
    RoundRobin::Dispatcher dispatcher{cohort::DispatchContext{io.get_executor(), page, options}};
    std::deque<Worker> workers;
    std::vector<UniqueFd> clients;
};

} // namespace

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
    cluster.run_until([&] { return cluster.page[a.grant.listener].taken == 0; });
    a.intake->close();
    cluster.dispatcher.close(a.member, a.grant.listener);
    test::start(cluster.io, accept_all(b.intake, b.sockets, b.ended));
    cluster.run_until([&] { return b.sockets.size() == 6; });
}

TEST_CASE("with the last listener the port is free again, and can be opened again") {
    Cluster cluster;
    auto& a = cluster.add(0);
    cluster.open(a, "127.0.0.1:0");
    const Endpoint endpoint = a.grant.endpoint;
    CHECK(cluster.connect(endpoint) == 0);
    a.intake->close();
    cluster.dispatcher.close(a.member, a.grant.listener);
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
    cluster.dispatcher.close(a.member, a.grant.listener);
    CHECK(cluster.connect(endpoint) == 0);
    auto& b = cluster.add(0);
    cluster.listen(b, endpoint);
    cluster.run_until([&] { return b.sockets.size() == 1; });
}
