// SPDX-License-Identifier: MIT
#include <cohort/detail/listen/accept_loop.hpp>

#include <cohort/detail/control/shared_page.hpp>

#include <doctest/doctest.h>

#include <support/faulty_system.hpp>
#include <support/links.hpp>
#include <support/run_for.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/io_context.hpp>

#include <memory>
#include <vector>

#include <fcntl.h>
#include <poll.h>

using namespace std::chrono_literals;
using namespace cohort::detail;

namespace {

struct AcceptingMaster {
    explicit AcceptingMaster(unsigned credit) {
        options.credit = credit;
        std::error_code error;
        auto listener = open_listener("127.0.0.1:0", false, 100, error);
        REQUIRE_FALSE(error);
        address = to_socket_address(local_endpoint(listener.get()), error);
        distributor = std::make_shared<Distributor>(cohort::DispatchContext{io.get_executor(), page, ledger, options},
                                                    cohort::Endpoint{8080}, make_scheduler<cohort::InTurn>());
        accepting = std::make_shared<AcceptLoop>(io.get_executor(), std::move(listener), distributor, true);
        worker.target.cell = page.acquire_worker(1);
        listener_id = distributor->join(worker.target);
    }
    ~AcceptingMaster() {
        accepting->close();
        distributor->abandon();
        test::settle(io);
    }
    void connect(int count = 1) {
        for (int i = 0; i < count; ++i) {
            auto& client = clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            REQUIRE(::connect(client.get(), address.get(), address.size) == 0);
        }
    }
    std::size_t receive() {
        while (auto batch = worker.next<Connections>())
            for (auto& connection : batch->second) connections.push_back(std::move(connection));
        return connections.size();
    }
    void take_all() { page.cell(worker.target.cell, listener_id).taken.store(connections.size()); }

    asio::io_context io;
    SharedPage page;
    Ledger ledger;
    cohort::Options options;
    SocketAddress address;
    test::FakeWorker worker{io.get_executor(), 1};
    std::shared_ptr<Distributor> distributor;
    std::shared_ptr<AcceptLoop> accepting;
    ListenerId listener_id = 0;
    std::vector<UniqueFd> clients;
    std::vector<UniqueFd> connections;
};

} // namespace

TEST_CASE("a worker that has the listener, too, cannot make the loop wait in accept") {
    AcceptingMaster master(100);
    const auto block = [&] { ::fcntl(master.accepting->descriptor(), F_SETFL, O_RDWR); };
    block();
    master.accepting->drain();
    master.accepting->start();
    for (std::size_t count = 1; count <= 3; ++count) {
        block();
        master.connect();
        test::run_until(master.io, [&] { return master.receive() == count; });
    }
}

TEST_CASE("connections reach the worker, those that were there before and those that come") {
    AcceptingMaster master(100);
    master.connect(3);
    master.accepting->start();
    master.accepting->start();
    test::run_until(master.io, [&] { return master.receive() == 3; });
    master.connect(2);
    test::run_until(master.io, [&] { return master.receive() == 5; });
}

TEST_CASE("without room the connections stay in the kernel's queue") {
    AcceptingMaster master(2);
    test::FaultySystem system;
    master.connect(5);
    master.accepting->start();
    test::run_until(master.io, [&] { return master.receive() == 2; });
    test::settle(master.io);
    CHECK(system.accepts == 2);
    CHECK(master.receive() == 2);
    master.take_all();
    test::run_until(master.io, [&] { return master.receive() == 4; });
    master.take_all();
    test::run_until(master.io, [&] { return master.receive() == 5; });
}

TEST_CASE("without descriptors accepting rests, and goes on when there are some") {
    for (const int failure : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
        CAPTURE(failure);
        AcceptingMaster master(10);
        test::FaultySystem system;
        system.accept_failure = failure;
        master.connect();
        master.accepting->start();
        test::run_for(master.io, test::sleep_for(120ms));
        CHECK(system.accepts > 1);
        CHECK(system.accepts <= 4);
        system.accept_failure = 0;
        test::run_until(master.io, [&] { return master.receive() == 1; });
    }
}

TEST_CASE("an error that concerns one connection does not stop accepting") {
    for (const int error : {EINTR, ECONNABORTED, EPROTO, EHOSTUNREACH, ENETDOWN}) CHECK(concerns_one_connection(error));
    for (const int error : {EAGAIN, EMFILE, EBADF, EINVAL}) CHECK_FALSE(concerns_one_connection(error));

    struct Aborted final : System {
        int left = 3;
        int accept(int fd) noexcept override {
            if (left-- <= 0) return System::accept(fd);
            errno = ECONNABORTED;
            return -1;
        }
    } system;
    const System::Replace replace(system);
    AcceptingMaster master(10);
    master.connect(2);
    master.accepting->start();
    test::run_until(master.io, [&] { return master.receive() == 2; });
}

TEST_CASE("stopped, it leaves connections to others on the same socket; started again, it goes on") {
    AcceptingMaster master(10);
    master.accepting->start();
    master.connect();
    test::run_until(master.io, [&] { return master.receive() == 1; });
    for (int round = 0; round < 3; ++round) {
        master.accepting->stop();
        test::settle(master.io);
        master.connect();
        test::settle(master.io);
        CHECK(master.receive() == 1U + static_cast<unsigned>(round));
        master.accepting->start();
        test::run_until(master.io, [&] { return master.receive() == 2U + static_cast<unsigned>(round); });
    }
    master.accepting->stop();
    master.connect();
    pollfd readable{master.accepting->descriptor(), POLLIN, 0};
    REQUIRE(::poll(&readable, 1, 5000) == 1);
    const UniqueFd other(System::current().accept(master.accepting->descriptor()));
    CHECK(other);
}

TEST_CASE("draining gives out what the kernel has queued, credit or not") {
    AcceptingMaster master(2);
    master.connect(20);
    master.accepting->drain();
    CHECK(master.receive() == 20);
    master.accepting->close();
    CHECK(master.accepting->descriptor() == -1);
    master.accepting->drain();
}
