// SPDX-License-Identifier: MIT
// The wheel against a plain list of deadlines, tick by tick.
#include <cohort/http/detail/timer_wheel.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

using cohort::http::detail::TimerWheel;

namespace {

struct Timed : TimerWheel::Entry {
    std::uint64_t wanted = TimerWheel::never;
    bool here = false;
};

std::vector<const Timed*> advance(TimerWheel& wheel) {
    std::vector<const Timed*> expired;
    wheel.advance([&expired](TimerWheel::Entry& entry) { expired.push_back(static_cast<Timed*>(&entry)); });
    return expired;
}

} // namespace

TEST_CASE("an entry expires at its deadline, once") {
    TimerWheel wheel;
    Timed entry;
    wheel.add(entry);
    wheel.set_deadline(entry, 3);
    CHECK(advance(wheel).empty());
    CHECK(advance(wheel).empty());
    CHECK(advance(wheel) == std::vector<const Timed*>{&entry});
    for (int i = 0; i != 1000; ++i) CHECK(advance(wheel).empty());
    wheel.set_deadline(entry, wheel.now() - 5);
    CHECK(advance(wheel).size() == 1);
    wheel.remove(entry);
    CHECK(wheel.size() == 0);
}

TEST_CASE("a deadline may move to and fro, and lie many turns away") {
    TimerWheel wheel;
    Timed entry;
    wheel.set_deadline(entry, 100);
    wheel.add(entry);
    wheel.set_deadline(entry, 5000);
    for (int i = 0; i != 200; ++i) CHECK(advance(wheel).empty());
    wheel.set_deadline(entry, 203);
    CHECK(advance(wheel).empty());
    wheel.set_deadline(entry, 2000);
    while (wheel.now() != 1999) CHECK(advance(wheel).empty());
    CHECK(advance(wheel).size() == 1);
    wheel.remove(entry);
}

TEST_CASE("what expires may leave, and take others with it") {
    TimerWheel wheel;
    Timed first, second;
    for (Timed* entry : {&first, &second}) {
        wheel.add(*entry);
        wheel.set_deadline(*entry, 1);
    }
    int expired = 0;
    wheel.advance([&](TimerWheel::Entry&) {
        ++expired;
        wheel.remove(first);
        wheel.remove(second);
    });
    CHECK(expired == 1);
    CHECK(wheel.size() == 0);
}

TEST_CASE("many entries at random expire as a list would have them expire") {
    std::mt19937 random(7);
    TimerWheel wheel;
    std::vector<std::unique_ptr<Timed>> all;
    for (int i = 0; i != 100; ++i) all.push_back(std::make_unique<Timed>());
    for (int round = 0; round != 5000; ++round) {
        for (int change = 0; change != 5; ++change) {
            Timed& entry = *all[random() % all.size()];
            if (random() % 8 == 0) {
                entry.here ? wheel.remove(entry) : wheel.add(entry);
                entry.here = !entry.here;
            }
            entry.wanted = wheel.now() + 1 + random() % 1000;
            wheel.set_deadline(entry, entry.wanted);
        }
        std::size_t wanted = 0;
        for (const auto& entry : all) wanted += entry->here && entry->wanted <= wheel.now() + 1 ? 1 : 0;
        const auto expired = advance(wheel);
        REQUIRE(expired.size() == wanted);
        for (const Timed* entry : expired) REQUIRE((entry->here && entry->wanted <= wheel.now()));
        for (const auto& entry : all)
            if (entry->here && entry->wanted <= wheel.now()) entry->wanted = TimerWheel::never;
        std::size_t listed = 0;
        wheel.for_each([&listed](TimerWheel::Entry&) { ++listed; });
        REQUIRE(listed == wheel.size());
    }
    for (const auto& entry : all) wheel.remove(*entry);
}
