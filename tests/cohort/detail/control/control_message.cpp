// SPDX-License-Identifier: MIT
#include <cohort/detail/control/control_message.hpp>

#include <cohort/detail/control/control_link.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <system_error>

#include <algorithm>

using namespace cohort::detail;

namespace {

/// Through a link and back, as one of the messages that this side may send.
template <class Set, class Message>
Message round_trip(const Message& message) {
    static_assert(Set::template contains<Message>);
    Buffer bytes;
    encode_message(message, bytes);
    Packet packet;
    packet.number = static_cast<std::uint8_t>(bytes.bytes().front());
    packet.payload.assign(bytes.bytes().begin() + 1, bytes.bytes().end());
    REQUIRE(packet.holds<Message>());
    return packet.read<Message>();
}

} // namespace

TEST_CASE("every message of a worker arrives as it was") {
    CHECK(round_trip<FromWorker>(Online{7, 8}).sends == 7);
    CHECK(round_trip<FromWorker>(Online{7, 8}).expects == 8);
    CHECK(round_trip<FromWorker>(Leaving{true}).replace);
    CHECK_FALSE(round_trip<FromWorker>(Leaving{}).replace);
    round_trip<FromWorker>(Ready{});
    CHECK(round_trip<FromWorker>(Unlisten{7}).listener == 7);
    CHECK(round_trip<FromWorker>(ReturnedConnection{7}).listener == 7);
    CHECK(round_trip<FromWorker>(Took{7}).listener == 7);
    const auto listen = round_trip<FromWorker>(Listen{3, cohort::Endpoint{"[::1]:80"}});
    CHECK(listen.request == 3);
    CHECK(listen.endpoint == cohort::Endpoint{"[::1]:80"});
    const auto bind = round_trip<FromWorker>(Bind{4, cohort::Endpoint{"[::]:53 v6only"}});
    CHECK(bind.request == 4);
    CHECK(bind.endpoint == cohort::Endpoint{"[::]:53 v6only"});
    CHECK(round_trip<FromWorker>(Unbind{9}).binding == 9);
    const auto lost = round_trip<FromWorker>(Lost{1, 1ULL << 40, 3});
    CHECK(lost.first == 1ULL << 40);
    CHECK(lost.count == 3);
    const auto failed = round_trip<FromWorker>(SetupFailed{13, "setuid"});
    CHECK(failed.system_error == 13);
    CHECK(failed.step == "setuid");
}

TEST_CASE("every message of the master arrives as it was") {
    CHECK(round_trip<FromMaster>(Stop{true}).hand_over);
    const auto listening = round_trip<FromMaster>(Listening{1, 2, 3, 8080, 98, true});
    CHECK(listening.listener == 2);
    CHECK(listening.inherited == 3);
    CHECK(listening.endpoint.port() == 8080);
    CHECK(listening.error == 98);
    CHECK(listening.error_is_cohorts);
    const auto bound = round_trip<FromMaster>(Bound{1, 2, 53, 98, true});
    CHECK(bound.request == 1);
    CHECK(bound.binding == 2);
    CHECK(bound.endpoint.port() == 53);
    CHECK(bound.error == 98);
    CHECK(bound.error_is_cohorts);
    CHECK(round_trip<FromMaster>(Connections{1, 2, 3}).count == 3);
    CHECK(round_trip<FromMaster>(Forgotten{1, 2, 3}).first == 2);
}

TEST_CASE("an answer keeps the error, whoever's it is") {
    const std::error_code errors[] = {{}, {EADDRINUSE, std::system_category()}, cohort::Errc::stopping};
    for (const auto& error : errors) {
        Bound bound;
        set_error(bound, error);
        CHECK(error_of(round_trip<FromMaster>(bound)) == error);
    }
}

TEST_CASE("bytes that encode another message are refused when they are read") {
    Packet packet;
    packet.number = Connections::number;
    packet.payload = {std::byte{0xff}, std::byte{0xff}};
    CHECK(packet.holds<Connections>());
    CHECK_FALSE(packet.holds<Stop>());
    CHECK_THROWS_AS(packet.read<Connections>(), std::system_error);
}
