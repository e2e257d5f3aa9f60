// SPDX-License-Identifier: MIT
#include <cohort/detail/listen/delivery_intake.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/links.hpp>
#include <support/run_for.hpp>

#include <utility>
#include <vector>

#include <sys/stat.h>

using namespace cohort::detail;
using test::Connection;

namespace {

constexpr ListenerId this_listener = 3;

/// The worker's side, and what it tells the master.
struct TakingWorker {
    std::vector<TransferredConnection> connections(std::size_t count) {
        std::vector<TransferredConnection> servers;
        for (std::size_t i = 0; i < count; ++i) {
            Connection connection;
            servers.emplace_back(std::move(connection.server));
            clients.push_back(std::move(connection.client));
        }
        return servers;
    }
    void deliver(std::uint64_t first, std::uint32_t count) { queue.deliver(first, count, connections(count)); }
    std::uint64_t taken() { return page.cell(part, this_listener).taken.load(); }
    /// The next thing it said to the master, if that is of this kind.
    template <class Message>
    std::optional<Message> said() {
        const auto packet = ends.target.link->try_receive();
        if (!packet || !packet->template holds<Message>()) return std::nullopt;
        return packet->template read<Message>();
    }
    bool said_nothing() { return !ends.target.link->try_receive(); }
    /// Whether the next connection taken is the one to this client.
    bool takes(std::size_t client) {
        auto socket = queue.take();
        if (!socket || ::send(socket->native_handle(), "x", 1, MSG_NOSIGNAL) != 1) return false;
        char byte = 0;
        return ::recv(clients[client].get(), &byte, 1, MSG_DONTWAIT) == 1;
    }

    asio::io_context io;
    SharedPage page;
    std::uint32_t part = page.acquire_worker(1);
    bool told_of_room = false;
    ConnectionCount connection_count{page.worker(part), page.requests(part), [this] { told_of_room = true; }};
    test::FakeWorker ends{io.get_executor(), 1};
    std::vector<UniqueFd> clients;
    DeliveryIntake queue{cohort::IntakeContext{io.get_executor(),
                                               ends.link,
                                               this_listener,
                                               page.cell(part, this_listener),
                                               connection_count,
                                               cohort::Endpoint::unix_path("/x"),
                                               {}}};
};

} // namespace

TEST_CASE("connections leave in their order, and each counts as taken when it leaves") {
    TakingWorker worker;
    CHECK_FALSE(worker.queue.take());
    worker.deliver(0, 2);
    worker.deliver(2, 1);
    CHECK(worker.taken() == 0);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(worker.takes(i));
        CHECK(worker.taken() == i + 1);
    }
    CHECK_FALSE(worker.queue.take());
    CHECK(worker.said_nothing());
}

TEST_CASE("a master that waits is told once") {
    TakingWorker worker;
    worker.deliver(0, 3);
    worker.page.cell(worker.part, this_listener).wanted.store(1);
    CHECK(worker.queue.take());
    CHECK(worker.said<Took>()->listener == this_listener);
    CHECK(worker.queue.take());
    CHECK(worker.said_nothing());
}

TEST_CASE("those that got lost are reported, and hold up what is behind them until others have them") {
    TakingWorker worker;
    worker.queue.deliver(0, 4, worker.connections(1)); // of four, one arrived
    worker.deliver(4, 1);
    const auto lost = worker.said<Lost>();
    REQUIRE(lost);
    CHECK(lost->first == 1);
    CHECK(lost->count == 3);

    CHECK(worker.takes(0));
    CHECK_FALSE(worker.queue.take()); // 4 must not count before 1 to 3 are settled
    CHECK(worker.taken() == 1);
    worker.queue.forget(1, 2);
    CHECK_FALSE(worker.queue.take());
    CHECK(worker.taken() == 3);
    worker.queue.forget(3, 1);
    CHECK(worker.takes(1));
    CHECK(worker.taken() == 5);
}

TEST_CASE("a forgetting that makes no sense changes nothing") {
    TakingWorker worker;
    worker.deliver(0, 1);
    CHECK(worker.takes(0));
    worker.queue.forget(0, 1);
    worker.queue.forget(1'000'000, 3);
    CHECK(worker.taken() == 1);
    worker.deliver(1, 1);
    CHECK(worker.takes(1));
}

TEST_CASE("when it closes everything goes back to the master, what comes later too") {
    TakingWorker worker;
    worker.deliver(0, 2);
    worker.queue.close();
    CHECK(worker.queue.is_finished());
    worker.deliver(2, 1);
    CHECK_FALSE(worker.queue.take());
    for (std::size_t i = 0; i < 3; ++i) {
        const auto packet = worker.ends.target.link->try_receive();
        REQUIRE(packet);
        REQUIRE(packet->holds<ReturnedConnection>());
        REQUIRE(packet->descriptors.size() == 1);
        REQUIRE(::send(packet->descriptors[0].get(), "x", 1, MSG_NOSIGNAL) == 1);
        char byte = 0;
        CHECK(::recv(worker.clients[i].get(), &byte, 1, MSG_DONTWAIT) == 1);
    }
    CHECK(worker.taken() == 3);
}

TEST_CASE("a closed queue gives back also what stood behind a lost one") {
    TakingWorker worker;
    worker.queue.deliver(0, 2, worker.connections(1));
    worker.deliver(2, 1);
    CHECK(worker.said<Lost>());
    worker.queue.close();
    CHECK(worker.said<ReturnedConnection>());
    CHECK(worker.said_nothing());
    worker.queue.forget(1, 1);
    CHECK(worker.said<ReturnedConnection>());
    CHECK(worker.taken() == 3);
}

TEST_CASE("after a stop what is here is still given, then it is finished") {
    TakingWorker worker;
    worker.deliver(0, 1);
    worker.queue.stop(false);
    CHECK(worker.queue.stopping());
    CHECK_FALSE(worker.queue.is_finished());
    CHECK(worker.takes(0));
    CHECK(worker.queue.is_finished());
}

TEST_CASE("a connection that the loop cannot watch is an error once, and holds nothing up") {
    TakingWorker worker;
    std::vector<TransferredConnection> broken;
    broken.emplace_back(UniqueFd(100'000)); // no such descriptor
    worker.queue.deliver(0, 1, std::move(broken));
    worker.deliver(1, 1);
    CHECK_THROWS_AS(worker.queue.take(), std::system_error);
    CHECK(worker.takes(0));
    CHECK(worker.taken() == 2);
}
