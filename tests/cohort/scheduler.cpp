// SPDX-License-Identifier: MIT
#include <cohort/scheduler.hpp>

#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <cohort/detail/system/fd_passing.hpp>

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

#include <netinet/in.h>

using namespace cohort;

namespace {

std::vector<Candidate> with_room(const std::vector<std::uint32_t>& room) {
    std::vector<Candidate> workers;
    for (std::size_t i = 0; i < room.size(); ++i)
        workers.push_back({.worker = static_cast<WorkerId>(i + 1), .slot = static_cast<unsigned>(i), .room = room[i]});
    return workers;
}

const Endpoint somewhere{8080};
Arrival nobody() { return {-1, somewhere}; }

/// Its key is the number of the descriptor, so that a test can choose it.
struct ByDescriptor {
    std::uint64_t operator()(const Arrival& connection) const {
        return static_cast<std::uint64_t>(connection.descriptor());
    }
};
Arrival with_key(int key) { return {key, somewhere}; }

static_assert(Scheduler<InTurn> && Scheduler<Fewest> && Scheduler<ByKey<ClientAddress>>);
static_assert(!Scheduler<int>);

} // namespace

TEST_CASE("in turn: everybody the same number") {
    InTurn scheduler;
    const auto workers = with_room({9, 9, 9});
    std::map<std::size_t, int> chosen;
    for (int i = 0; i < 300; ++i) ++chosen[scheduler.choose(nobody(), workers)];
    CHECK(chosen == std::map<std::size_t, int>{{0, 100}, {1, 100}, {2, 100}});
}

TEST_CASE("in turn: those without room are passed over, and nobody is chosen when nobody has any") {
    InTurn scheduler;
    const auto workers = with_room({9, 0, 9});
    for (const std::size_t expected : {0U, 2U, 0U, 2U}) CHECK(scheduler.choose(nobody(), workers) == expected);
    CHECK(scheduler.choose(nobody(), with_room({0, 0})) == 2);
    // Others may have come or gone.
    CHECK(scheduler.choose(nobody(), with_room({1})) == 0);
}

TEST_CASE("fewest: the one with the least to do, in turn among equals") {
    Fewest scheduler;
    auto workers = with_room({9, 9, 9});
    workers[0].open = 5;
    workers[1].open = 2, workers[1].sent = 2;
    workers[2].open = 3, workers[2].sent = 1;
    CHECK(scheduler.choose(nobody(), workers) == 1);
    CHECK(scheduler.choose(nobody(), workers) == 2);
    CHECK(scheduler.choose(nobody(), workers) == 1);
    workers[0].open = 0;
    CHECK(scheduler.choose(nobody(), workers) == 0);
    workers[0].room = 0;
    CHECK(scheduler.choose(nobody(), workers) != 0);
    CHECK(scheduler.choose(nobody(), with_room({0, 0})) == 2);
}

TEST_CASE("by key: equal keys, equal slots, and every slot has its share") {
    ByKey<ByDescriptor> scheduler;
    const auto workers = with_room({1, 1, 1, 1});
    std::map<std::size_t, int> chosen;
    for (int key = 0; key < 4'000; ++key) {
        const std::size_t choice = scheduler.choose(with_key(key), workers);
        ++chosen[choice];
        CHECK(scheduler.choose(with_key(key), workers) == choice);
    }
    REQUIRE(chosen.size() == 4);
    for (const auto& [worker, count] : chosen) CHECK((count > 850 && count < 1'150));
}

TEST_CASE("by key: when a slot is empty only its own keys move, and they come back") {
    ByKey<ByDescriptor> scheduler;
    const auto all = with_room({1, 1, 1, 1});
    const std::vector<Candidate> without_1{all[0], all[2], all[3]};
    for (int key = 0; key < 1'000; ++key) {
        const unsigned before = all[scheduler.choose(with_key(key), all)].slot;
        const unsigned meanwhile = without_1[scheduler.choose(with_key(key), without_1)].slot;
        if (before != 1) CHECK(meanwhile == before);
    }
}

TEST_CASE("by key: a full worker is waited for") {
    ByKey<ByDescriptor> scheduler;
    const auto free = with_room({1, 1, 1});
    const auto full = with_room({0, 0, 0});
    for (int key = 0; key < 100; ++key)
        CHECK(scheduler.choose(with_key(key), full) == scheduler.choose(with_key(key), free));
}

TEST_CASE("a connection says who its client is") {
    std::error_code error;
    const auto listener = detail::open_listener("127.0.0.1:0", false, 5, error);
    REQUIRE_FALSE(error);
    const Endpoint endpoint = detail::local_endpoint(listener.get());
    auto address = detail::to_socket_address(endpoint, error);
    const detail::UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.get(), address.get(), address.size) == 0);
    detail::UniqueFd server;
    while (!server) server = detail::UniqueFd(detail::System::current().accept(listener.get()));
    const Arrival arrival(server.get(), endpoint);
    CHECK(arrival.client() == detail::local_endpoint(client.get()));
    CHECK(arrival.listener() == endpoint);
    CHECK(ClientAddress()(arrival) == htonl(INADDR_LOOPBACK));
}

TEST_CASE("clients of a Unix socket are told apart by their process") {
    const auto [ours, theirs] = detail::make_socketpair(SOCK_STREAM);
    const Arrival arrival(ours.get(), somewhere);
    CHECK(arrival.client() == Endpoint{});
    CHECK(ClientAddress()(arrival) == static_cast<std::uint64_t>(::getpid()));
}
