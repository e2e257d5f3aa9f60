// SPDX-License-Identifier: MIT
#include <cohort/detail/listen/datagram_ports.hpp>

#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/socket/transferred_listeners.hpp>
#include <cohort/detail/system/system.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <fstream>
#include <iostream>

#include <sched.h>
#include <sys/socket.h>

using cohort::DispatchTarget;
using cohort::Endpoint;
using cohort::Errc;
using namespace cohort::detail;

namespace {

DispatchTarget worker(cohort::WorkerId id, unsigned slot) {
    DispatchTarget target;
    target.id = id;
    target.slot = slot;
    return target;
}

bool is_free(const Endpoint& endpoint) {
    std::error_code error;
    return static_cast<bool>(open_bound(endpoint, false, error, SOCK_DGRAM));
}

/// Sends one datagram from a port of its own.
void send_to(const Endpoint& endpoint) {
    std::error_code error;
    const auto address = to_socket_address(endpoint, error);
    const UniqueFd client(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(::sendto(client.get(), "x", 1, 0, address.get(), address.size) == 1);
}

/// How many datagrams wait there. They are taken.
int waiting(int socket) {
    char byte = 0;
    int count = 0;
    while (::recv(socket, &byte, 1, MSG_DONTWAIT) == 1) ++count;
    return count;
}

} // namespace

TEST_CASE("the slots of a UDP port have sockets of their own, and the kernel distributes") {
    DatagramPorts ports;
    const auto a = ports.bind(worker(1, 0), "127.0.0.1:0");
    const auto b = ports.bind(worker(2, 1), "127.0.0.1:0");
    REQUIRE_FALSE(a.error);
    REQUIRE_FALSE(b.error);
    CHECK(a.endpoint.port() != 0);
    CHECK(a.endpoint == b.endpoint);
    CHECK(a.descriptor != b.descriptor);
    CHECK(a.id != b.id);
    for (int i = 0; i < 100; ++i) send_to(a.endpoint);
    const int of_a = waiting(a.descriptor);
    CHECK(of_a > 0);
    CHECK(of_a < 100);
    CHECK(of_a + waiting(b.descriptor) == 100);
}

TEST_CASE("a slot whose worker closed its socket, or has gone for good, is not chosen") {
    DatagramPorts ports;
    const auto a = ports.bind(worker(1, 0), "127.0.0.1:0");
    const auto b = ports.bind(worker(2, 1), "127.0.0.1:0");
    SUBCASE("closed") { ports.unbind(worker(2, 1), b.id); }
    SUBCASE("gone") { ports.leave(worker(2, 1), false); }
    for (int i = 0; i < 50; ++i) send_to(a.endpoint);
    CHECK(waiting(a.descriptor) == 50);
    const auto again = ports.bind(worker(3, 1), a.endpoint);
    CHECK(again.endpoint == a.endpoint);
    ports.leave(worker(1, 0), false);
    ports.unbind(worker(3, 1), again.id);
    CHECK(ports.empty());
    CHECK(is_free(a.endpoint));
}

TEST_CASE("a successor has the socket of its slot, with what is queued, whatever it asks for first") {
    DatagramPorts ports;
    const auto first = ports.bind(worker(1, 0), "127.0.0.1:0");
    const auto second = ports.bind(worker(1, 0), "127.0.0.1:0");
    CHECK(first.endpoint.port() != second.endpoint.port()); // twice port 0 is two ports
    send_to(first.endpoint);
    send_to(second.endpoint);
    send_to(second.endpoint);
    ports.leave(worker(1, 0), true);
    const auto by_number = ports.bind(worker(2, 0), second.endpoint);
    CHECK(by_number.descriptor == second.descriptor);
    const auto any = ports.bind(worker(2, 0), "127.0.0.1:0");
    CHECK(any.descriptor == first.descriptor);
    CHECK(waiting(by_number.descriptor) == 2);
    CHECK(waiting(any.descriptor) == 1);
}

TEST_CASE("what waits for a successor is closed when none will come") {
    DatagramPorts ports;
    const auto bound = ports.bind(worker(1, 0), "127.0.0.1:0");
    ports.leave(worker(1, 0), true);
    CHECK_FALSE(is_free(bound.endpoint));
    SUBCASE("the next worker of the slot goes without having bound") { ports.leave(worker(2, 0), false); }
    SUBCASE("the program ends") { ports.stop(); }
    CHECK(ports.empty());
    CHECK(is_free(bound.endpoint));
}

TEST_CASE("one socket of one worker twice is closed with the second") {
    DatagramPorts ports;
    const auto one = ports.bind(worker(1, 0), "127.0.0.1:0");
    const auto two = ports.bind(worker(1, 0), one.endpoint);
    CHECK(one.descriptor == two.descriptor);
    ports.unbind(worker(1, 0), one.id);
    ports.unbind(worker(1, 0), one.id); // a worker that says it twice
    ports.unbind(worker(9, 9), two.id); // a worker that speaks of another's
    CHECK_FALSE(ports.empty());
    ports.unbind(worker(1, 0), two.id);
    CHECK(ports.empty());
}

TEST_CASE("a port that somebody else has is an error, also if that one would share it") {
    DatagramPorts ports;
    for (const bool shares : {false, true}) {
        std::error_code error;
        const auto foreign = open_bound("127.0.0.1:0", shares, error, SOCK_DGRAM);
        if (shares) enable(foreign.get(), SOL_SOCKET, SO_REUSEADDR);
        CHECK(ports.bind(worker(1, 0), local_endpoint(foreign.get())).error == std::errc::address_in_use);
    }
    CHECK(ports.bind(worker(1, 0), "192.0.2.1:0").error == std::errc::address_not_available);
    CHECK(ports.bind(worker(1, 0), "unix:/tmp/x").error == Errc::bad_endpoint);
    CHECK(ports.bind(worker(1, 0), "fd:999999").error == std::errc::bad_file_descriptor);
    CHECK(ports.bind(worker(1, 0), "activated:dns").error == Errc::not_activated);
    CHECK(ports.empty());
}

TEST_CASE("port 0 is never a port that another cluster of the same user shares") {
    constexpr int not_possible_here = 77;
    const int code = test::in_child([] {
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return not_possible_here;
        std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
        if (!(range << "40000 40001" << std::flush)) return not_possible_here;
        std::error_code error;
        const auto foreign = open_bound("0.0.0.0:40000", true, error, SOCK_DGRAM);
        if (error) return 1;
        DatagramPorts ports;
        if (ports.bind(worker(1, 0), "0.0.0.0:0").endpoint != Endpoint("0.0.0.0:40001")) return 2;
        if (ports.bind(worker(2, 1), "0.0.0.0:0").endpoint != Endpoint("0.0.0.0:40001")) return 3;
        return ports.bind(worker(1, 0), "0.0.0.0:0").error == std::errc::address_in_use ? 0 : 4;
    });
    CHECK((code == 0 || code == not_possible_here));
    if (code == not_possible_here) MESSAGE("skipped: no network of its own for the test");
}

TEST_CASE("an inherited UDP socket is one for all workers, and stays open") {
    DatagramPorts ports;
    std::error_code error;
    const auto original = open_bound("127.0.0.1:0", false, error, SOCK_DGRAM);
    const auto endpoint = Endpoint::inherited(original.get());
    const auto a = ports.bind(worker(1, 0), endpoint);
    const auto b = ports.bind(worker(2, 1), endpoint);
    CHECK(a.descriptor == b.descriptor);
    CHECK(a.endpoint == local_endpoint(original.get()));
    ports.leave(worker(1, 0), false);
    CHECK_FALSE(ports.empty());
    ports.unbind(worker(2, 1), b.id);
    CHECK(ports.empty());
    send_to(local_endpoint(original.get()));
    CHECK(waiting(original.get()) == 1);
}

TEST_CASE("nobody joins a UDP port by SO_REUSEADDR") {
    DatagramPorts ports;
    const auto bound = ports.bind(worker(1, 0), "127.0.0.1:0");
    std::error_code error;
    const auto address = to_socket_address(bound.endpoint, error);
    const UniqueFd thief(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    enable(thief.get(), SOL_SOCKET, SO_REUSEADDR);
    CHECK(::bind(thief.get(), address.get(), address.size) != 0);
}

TEST_CASE("the sockets of the master before keep what has come for them") {
    DatagramPorts before;
    const auto a = before.bind(worker(1, 0), "127.0.0.1:0");
    const auto b = before.bind(worker(2, 1), "127.0.0.1:0");
    for (int i = 0; i < 100; ++i) send_to(a.endpoint);
    cohort::detail::TransferredListeners passed;
    for (const auto& each : before.sockets()) passed.add(each.requested, each.slot, duplicate(each.descriptor));
    CHECK(passed.slots("127.0.0.1:0") == std::vector<unsigned>{0, 1});
    DatagramPorts ports(&passed);
    const auto c = ports.bind(worker(1, 1), "127.0.0.1:0");
    const auto d = ports.bind(worker(2, 0), "127.0.0.1:0");
    before.stop();
    CHECK(c.endpoint == a.endpoint);
    CHECK(d.endpoint == a.endpoint);
    const int of_slot_1 = waiting(c.descriptor);
    const int of_slot_0 = waiting(d.descriptor);
    CHECK(of_slot_0 > 0);
    CHECK(of_slot_1 > 0);
    CHECK(of_slot_0 + of_slot_1 == 100);
}
