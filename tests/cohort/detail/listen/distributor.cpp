// SPDX-License-Identifier: MIT
#include <cohort/detail/listen/distributor.hpp>

#include <cohort/detail/control/shared_page.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/detail/system/system.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/links.hpp>
#include <support/run_for.hpp>

#include <chrono>
#include <deque>
#include <limits>
#include <map>
#include <utility>
#include <vector>

using namespace cohort::detail;
using test::Connection;

namespace {

/// A worker that takes when it is told to.
struct PromptedWorker : test::FakeWorker {
    using FakeWorker::FakeWorker;

    /// Everything that has arrived by now; gives how many connections came.
    std::size_t receive() {
        std::size_t count = 0;
        while (auto batch = next<Connections>()) {
            CHECK(batch->first.listener == listener);
            CHECK(batch->first.first == arrived);
            CHECK(batch->first.count == batch->second.size());
            CHECK(batch->second.size() <= max_passed);
            arrived += batch->second.size();
            count += batch->second.size();
            for (auto& connection : batch->second) connections.push_back(std::move(connection));
        }
        return count;
    }

    /// The same, for one that has several listeners: how many came to each.
    std::map<ListenerId, std::size_t> receive_all() {
        std::map<ListenerId, std::size_t> counts;
        while (auto batch = next<Connections>()) counts[batch->first.listener] += batch->first.count;
        return counts;
    }

    ListenerId listener = 0;
    std::uint64_t arrived = 0;
    std::deque<UniqueFd> connections;
};

struct DistributingMaster {
    explicit DistributingMaster(unsigned credit = 4) { options.credit = credit; }
    ~DistributingMaster() { distributor->abandon(); }

    PromptedWorker& join() {
        auto& worker = workers.emplace_back(io.get_executor(), static_cast<cohort::WorkerId>(workers.size() + 1));
        worker.target.cell = page.acquire_worker(worker.target.id);
        worker.listener = distributor->join(worker.target);
        test::settle(io);
        return worker;
    }
    void give(int count = 1, bool last = false) {
        for (int i = 0; i < count; ++i) {
            Connection connection;
            clients.push_back(std::move(connection.client));
            if (last)
                distributor->give_last(std::move(connection.server));
            else
                distributor->give(std::move(connection.server));
        }
        distributor->flush();
    }
    /// The worker takes `count` more of what has arrived.
    void take(PromptedWorker& worker, std::size_t count) {
        for (; count > 0; --count) {
            worker.connections.pop_front();
            page.cell(worker.target.cell, worker.listener).taken.fetch_add(1);
        }
    }
    std::size_t alive() {
        std::size_t count = 0;
        for (const auto& client : clients) count += Connection::is_alive(client.get()) ? 1 : 0;
        return count;
    }

    asio::io_context io;
    SharedPage page;
    Ledger ledger;
    cohort::Options options;
    std::deque<PromptedWorker> workers;
    std::vector<UniqueFd> clients;
    std::shared_ptr<Distributor> distributor =
        std::make_shared<Distributor>(cohort::DispatchContext{io.get_executor(), page, ledger, options},
                                      cohort::Endpoint{8080}, make_scheduler<cohort::InTurn>());
};

} // namespace

TEST_CASE("workers get connections in turn, and no more than their credit") {
    DistributingMaster master(2);
    CHECK(master.distributor->room() == 0);
    auto& a = master.join();
    auto& b = master.join();
    CHECK(master.distributor->room() == 4);
    for (int i = 0; i < 2; ++i) {
        master.give();
        CHECK(a.receive() == 1);
        CHECK(b.receive() == 0);
        master.give();
        CHECK(a.receive() == 0);
        CHECK(b.receive() == 1);
    }
    CHECK(master.distributor->room() == 0);
    master.give();
    CHECK(a.receive() + b.receive() == 0);
}

TEST_CASE("what waits goes to the first that has taken one, without a message about it") {
    DistributingMaster master(2);
    auto& a = master.join();
    auto& b = master.join();
    master.give(5);
    CHECK(a.receive() == 2);
    CHECK(b.receive() == 2);
    master.take(b, 1);
    test::run_until(master.io, [&] { return b.receive() == 1; });
    CHECK(a.receive() == 0);
}

TEST_CASE("who waits for room is woken when a worker says that it took one") {
    struct Run {
        static cohort::Task<> wait(Distributor& distributor, bool& done) {
            co_await distributor.wait_room();
            done = true;
        }
    };
    DistributingMaster master(1);
    auto& a = master.join();
    master.give();
    CHECK(a.receive() == 1);
    bool done = false;
    test::start(master.io, Run::wait(*master.distributor, done));
    test::settle(master.io);
    CHECK_FALSE(done);
    CHECK(master.page.cell(a.target.cell, a.listener).wanted.load() == 1);
    master.take(a, 1);
    master.distributor->took(a.target, a.listener);
    test::run_until(master.io, [&] { return done; });
    CHECK(master.distributor->room() == 1);
}

TEST_CASE("the master's copy lives until the worker has taken the connection, and not much longer") {
    DistributingMaster master;
    auto& a = master.join();
    master.give();
    REQUIRE(a.receive() == 1);
    test::settle(master.io);
    a.connections.clear(); // the worker closes it without having counted it
    CHECK(master.alive() == 1);
    master.page.cell(a.target.cell, a.listener).taken.store(1);
    test::run_until(master.io, [&] { return master.alive() == 0; });
}

TEST_CASE("what a dead worker had not taken goes to others, what it had taken ends") {
    DistributingMaster master;
    auto& a = master.join();
    master.give(3);
    REQUIRE(a.receive() == 3);
    master.take(a, 1);
    auto& b = master.join();
    a.connections.clear();
    master.distributor->leave(a.target);
    CHECK_FALSE(master.distributor->has(a.target));
    CHECK(b.receive() == 2);
    CHECK(master.alive() == 2);
}

TEST_CASE("what arrives while nobody listens waits for the first that comes") {
    DistributingMaster master;
    auto& a = master.join();
    master.give(2);
    master.distributor->leave(a.target);
    CHECK(master.distributor->is_empty());
    CHECK(master.alive() == 2);
    auto& b = master.join();
    CHECK(b.receive() == 2);
}

TEST_CASE("lost connections go to another, and the worker that lost them may forget them") {
    DistributingMaster master;
    auto& a = master.join();
    master.give(3);
    REQUIRE(a.receive() == 3);
    auto& b = master.join();
    a.connections.resize(1);
    master.distributor->lost(a.target, a.listener, 1, 2);
    const auto forgotten = a.next<Forgotten>();
    REQUIRE(forgotten);
    CHECK(forgotten->first.first == 1);
    CHECK(forgotten->first.count == 2);
    CHECK(b.receive() == 2);

    // It rests a while, as it may be at its limit still.
    master.give(2);
    CHECK(a.receive() == 0);
    CHECK(b.receive() == 2);
    master.take(b, 4);
    test::run_until(master.io, [&] {
        master.give();
        const auto got = b.receive();
        master.take(b, got);
        return a.receive() > 0;
    });
}

TEST_CASE("a worker that talks nonsense about losses or takings harms nobody") {
    DistributingMaster master;
    auto& a = master.join();
    auto& b = master.join();
    master.give(4);
    CHECK(a.receive() == 2);
    CHECK(b.receive() == 2);
    for (int i = 0; i < 2; ++i) master.distributor->lost(a.target, a.listener, 0, 1);
    master.distributor->lost(a.target, a.listener, 0, std::numeric_limits<std::uint32_t>::max());
    master.distributor->lost(a.target, a.listener, std::numeric_limits<std::uint64_t>::max(), 5);
    master.distributor->lost(a.target, a.listener + 77, 0, 1);
    std::size_t got = b.receive();
    CHECK(got == 2); // each of a's two, once
    master.page.cell(a.target.cell, a.listener).taken.store(std::numeric_limits<std::uint64_t>::max());
    master.distributor->took(a.target, a.listener);
    CHECK(master.distributor->room() <= 2U * master.options.credit);
    CHECK(master.alive() == 4);
}

TEST_CASE("a retired listener gets nothing new, and its cell is free when the last has been taken") {
    DistributingMaster master;
    auto& a = master.join();
    auto& b = master.join();
    master.give(2);
    CHECK(a.receive() == 1);
    CHECK(b.receive() == 1);
    master.distributor->retire(a.target, a.listener);
    master.give(2);
    CHECK(a.receive() == 0);
    CHECK(b.receive() == 2);
    CHECK(master.distributor->has(a.target, a.listener));
    master.take(a, 1);
    test::run_until(master.io, [&] { return !master.distributor->has(a.target, a.listener); });
    CHECK(master.page.acquire() == a.listener);

    master.distributor->retire(b.target);
    CHECK_FALSE(master.distributor->has_workers());
}

TEST_CASE("at the end everything is given out, credit or not") {
    DistributingMaster master(1);
    auto& a = master.join();
    auto& b = master.join();
    master.give(4); // two wait
    master.give(20, true);
    master.distributor->close();
    CHECK(master.distributor->is_closed());
    CHECK(a.receive() + b.receive() == 24);
    CHECK(a.arrived >= 10);
    CHECK(b.arrived >= 10);
}

TEST_CASE("connections that nobody can be given any more are closed") {
    DistributingMaster master;
    master.give(2);
    CHECK(master.alive() == 2);
    master.distributor->close();
    CHECK(master.alive() == 0);
    master.give(1);
    master.give(1, true);
    CHECK(master.alive() == 0);
}

TEST_CASE("large batches are cut to what one datagram may carry") {
    DistributingMaster master(40);
    auto& a = master.join();
    master.give(40);
    CHECK(a.receive() == 40);
}

namespace {

using Counts = std::map<ListenerId, std::size_t>;

/// Two workers, of which the first has three listeners.
struct Uneven : DistributingMaster {
    explicit Uneven(unsigned credit) : DistributingMaster(credit) {
        for (ListenerId* const more : {&second, &third}) *more = distributor->join(a.target);
        test::settle(io);
    }
    void take_from(ListenerId listener, std::size_t count) {
        page.cell(a.target.cell, listener).taken.fetch_add(count);
        distributor->took(a.target, listener);
    }

    PromptedWorker& a = join();
    PromptedWorker& b = join();
    ListenerId second = 0;
    ListenerId third = 0;
};

} // namespace

TEST_CASE("a worker gets one share, which its listeners have in turn") {
    Uneven master(12);
    CHECK(master.distributor->room() == 24);
    master.give(12);
    CHECK(master.b.receive() == 6);
    CHECK(master.a.receive_all() == Counts{{master.a.listener, 2}, {master.second, 2}, {master.third, 2}});
}

TEST_CASE("several listeners have the credit of one") {
    Uneven master(6);
    master.give(20);
    CHECK(master.b.receive() == 6);
    CHECK(master.a.receive_all() == Counts{{master.a.listener, 2}, {master.second, 2}, {master.third, 2}});
    master.distributor->retire(master.a.target, master.second);
    master.take_from(master.third, 1);
    CHECK(master.a.receive_all() == Counts{{master.third, 1}}); // what a retired one has not taken counts, too
}

TEST_CASE("a listener that its worker does not accept from leaves the credit to the others") {
    Uneven master(6);
    for (int i = 0; i < 50; ++i) {
        master.give(2);
        master.take(master.b, master.b.receive());
        auto got = master.a.receive_all();
        REQUIRE(got.size() == 1);
        if (got.begin()->first != master.third) master.take_from(got.begin()->first, got.begin()->second);
    }
    CHECK(master.page.cell(master.a.target.cell, master.a.listener).taken >= 24);
    CHECK(master.page.cell(master.a.target.cell, master.second).taken >= 24);
}

TEST_CASE("at the end, too, a worker gets one share") {
    Uneven master(1);
    master.give(24, true);
    master.distributor->close();
    CHECK(master.b.receive() == 12);
    CHECK(master.a.receive_all() == Counts{{master.a.listener, 4}, {master.second, 4}, {master.third, 4}});
}

TEST_CASE("a worker that does not take has a share of the descriptors, over all endpoints, and one at each") {
    const std::size_t share = share_of_descriptors();
    DistributingMaster master(std::numeric_limits<unsigned>::max());
    auto& a = master.join();
    for (std::size_t i = 0; i < share; ++i) a.target.link->add_copy(); // on their way to its listener elsewhere
    CHECK(master.distributor->room() == 1);
    master.give();
    CHECK(a.receive() == 1);
    CHECK(master.distributor->room() == 0);
    a.target.link->drop_copies(share);
    CHECK(master.distributor->room() == share - 1);
    master.distributor->leave(a.target);
    CHECK(a.target.link->copies() == 0);
}

TEST_CASE("what is on its way to listeners that are closed is counted until it has been taken") {
    DistributingMaster master;
    auto& a = master.join();
    master.give(3);
    CHECK(a.receive() == 3);
    CHECK(master.distributor->held(a.target).listeners == 1);
    CHECK(master.distributor->held(a.target).left == 0);
    master.distributor->retire(a.target, a.listener);
    CHECK(master.distributor->held(a.target).left == 3);
    master.take(a, 2);
    CHECK(master.distributor->held(a.target).left == 1);
    CHECK(a.target.link->copies() == 1);
    master.take(a, 1);
    test::run_until(master.io, [&] { return master.distributor->held(a.target).listeners == 0; });
}

TEST_CASE("what is lost when nobody listens any more is closed") {
    DistributingMaster master;
    auto& a = master.join();
    master.give(3);
    CHECK(a.receive() == 3);
    a.connections.clear();
    master.distributor->retire(a.target, a.listener);
    master.distributor->close();
    CHECK(master.alive() == 3);
    master.distributor->lost(a.target, a.listener, 0, 3);
    CHECK(master.alive() == 0);
    CHECK(master.distributor->waiting() == 0);
}

TEST_CASE("a worker that does not read gets nothing new") {
    DistributingMaster master(std::numeric_limits<unsigned>::max());
    auto& a = master.join();
    auto& b = master.join();
    while (a.target.link->all_sent()) a.target.link->send(Forgotten{});
    CHECK(master.distributor->room() != 0);
    master.give(4);
    CHECK(b.receive() == 4);
    const auto read_all = [&] {
        while (a.next<Forgotten>()) {
        }
    };
    test::run_until(master.io, [&] {
        read_all();
        return a.target.link->all_sent();
    });
    read_all();
    CHECK(master.distributor->room() != 0);
    master.give(2);
    CHECK(a.receive() == 1);
    CHECK(b.receive() == 1);
}

TEST_CASE("a worker that says it has taken what it is only about to be sent is sent that") {
    DistributingMaster master;
    auto& a = master.join();
    master.page.cell(a.target.cell, a.listener).taken.store(2);
    master.give(3);
    CHECK(a.receive() == 3);
    CHECK(master.alive() == 3);
}

TEST_CASE("without a limit nobody is stuck, however often one looks") {
    DistributingMaster master;
    master.options.stuck_after = std::chrono::milliseconds::max();
    auto& a = master.join();
    auto& b = master.join();
    master.give(2);
    CHECK(a.receive() == 1);
    CHECK(b.receive() == 1);
    for (int i = 0; i < 10; ++i) master.distributor->took(b.target, b.listener);
    CHECK(a.receive() == 0);
    CHECK(b.receive() == 0);
    CHECK(master.ledger[a.target.slot].redelivered == 0);
}
