// SPDX-License-Identifier: MIT
#include <cohort/detail/control/control_message.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <system_error>

#include <algorithm>

using namespace cohort::detail;

namespace {

template <class Message>
Message round_trip(const Message& message) {
    Buffer bytes;
    cohort::encode(message, bytes);
    Message copy;
    REQUIRE_FALSE(cohort::decode(bytes.bytes(), copy));
    return copy;
}

} // namespace

TEST_CASE("every message of a worker arrives as it was") {
    CHECK(std::get<Online>(round_trip(FromWorker{Online{7, 8}})).sends == 7);
    CHECK(std::get<Online>(round_trip(FromWorker{Online{7, 8}})).expects == 8);
    CHECK(std::holds_alternative<Leaving>(round_trip(FromWorker{Leaving{}})));
    CHECK(std::get<Unlisten>(round_trip(FromWorker{Unlisten{7}})).listener == 7);
    CHECK(std::get<ReturnedConnection>(round_trip(FromWorker{ReturnedConnection{7}})).listener == 7);
    CHECK(std::get<Took>(round_trip(FromWorker{Took{7}})).listener == 7);
    const auto listen = std::get<Listen>(round_trip(FromWorker{Listen{3, cohort::Endpoint{"[::1]:80"}}}));
    CHECK(listen.request == 3);
    CHECK(listen.endpoint == cohort::Endpoint{"[::1]:80"});
    const auto bind = std::get<Bind>(round_trip(FromWorker{Bind{4, cohort::Endpoint{"[::]:53 v6only"}}}));
    CHECK(bind.request == 4);
    CHECK(bind.endpoint == cohort::Endpoint{"[::]:53 v6only"});
    CHECK(std::get<Unbind>(round_trip(FromWorker{Unbind{9}})).binding == 9);
    const auto lost = std::get<Lost>(round_trip(FromWorker{Lost{1, 1ULL << 40, 3}}));
    CHECK(lost.first == 1ULL << 40);
    CHECK(lost.count == 3);
    const auto failed = std::get<SetupFailed>(round_trip(FromWorker{SetupFailed{13, "setuid"}}));
    CHECK(failed.system_error == 13);
    CHECK(failed.step == "setuid");
}

TEST_CASE("every message of the master arrives as it was") {
    CHECK(std::holds_alternative<Stop>(round_trip(FromMaster{Stop{}})));
    const auto listening = std::get<Listening>(round_trip(FromMaster{Listening{1, 2, 3, 8080, 98, true}}));
    CHECK(listening.listener == 2);
    CHECK(listening.inherited == 3);
    CHECK(listening.endpoint.port() == 8080);
    CHECK(listening.error == 98);
    CHECK(listening.error_is_cohorts);
    const auto bound = std::get<Bound>(round_trip(FromMaster{Bound{1, 2, 53, 98, true}}));
    CHECK(bound.request == 1);
    CHECK(bound.binding == 2);
    CHECK(bound.endpoint.port() == 53);
    CHECK(bound.error == 98);
    CHECK(bound.error_is_cohorts);
    CHECK(std::get<Connections>(round_trip(FromMaster{Connections{1, 2, 3}})).count == 3);
    CHECK(std::get<Forgotten>(round_trip(FromMaster{Forgotten{1, 2, 3}})).first == 2);
}

TEST_CASE("an answer keeps the error, whoever's it is") {
    const std::error_code errors[] = {{}, {EADDRINUSE, std::system_category()}, cohort::Errc::stopping};
    for (const auto& error : errors) {
        Bound bound;
        set_error(bound, error);
        CHECK(error_of(std::get<Bound>(round_trip(FromMaster{bound}))) == error);
    }
}
