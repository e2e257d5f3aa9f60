// SPDX-License-Identifier: MIT
#include <cohort/mode/scheduled.hpp>
#include <cohort/mode/sticky.hpp>

#include "support/client.hpp"

#include <stdexcept>

using namespace test;

namespace {

/// The highest slot there is; the others stand by.
struct HighestSlot {
    std::size_t choose(const Arrival&, std::span<const Candidate> workers) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < workers.size(); ++i)
            if (workers[i].slot > workers[best].slot) best = i;
        return best;
    }
};

/// Nobody, until there are two to choose from.
struct BothOrNone {
    std::size_t choose(const Arrival&, std::span<const Candidate> workers) { return workers.size() < 2 ? 7 : 1; }
};

/// Throws at every other connection.
struct Throwing {
    std::size_t choose(const Arrival&, std::span<const Candidate>) {
        if (++count % 4 == 2) throw std::runtime_error("no idea");
        if (count % 4 == 0) throw 42;
        return 0;
    }
    unsigned count = 0;
};

/// Knows no client.
struct ThrowingKey {
    std::uint64_t operator()(const Arrival&) const { throw std::out_of_range("who is this"); }
};

template <class Mode>
void check_all_answered() {
    using App = Master<Note, Mode>;
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        for (int i = 0; i < 10; ++i) {
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            CHECK(who(greeting) != 0);
        }
        app.kill_all();
    });
}

using ToHighest = Master<Note, Scheduled<HighestSlot>>;
using ToBoth = Master<Note, Scheduled<BothOrNone>>;

TEST_CASE("a scheduler of the user's that throws costs no connection") {
    check_all_answered<Scheduled<Throwing>>();
    check_all_answered<Sticky<ThrowingKey>>();
}

TEST_CASE("a scheduler of the user's decides alone") {
    in_master<ToHighest>(plain_options(), [](ToHighest& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 3);
        for (const WorkerId expected : {3U, 2U, 1U}) {
            for (int i = 0; i < 5; ++i) {
                Client client(app.context(), port);
                const std::string greeting = co_await client.read_line();
                CHECK(who(greeting) == expected);
            }
            if (expected == 1) break;
            app.kill(expected, SIGKILL);
            co_await end_of(app, expected);
        }
    });
}

TEST_CASE("a connection for which nobody is chosen waits until somebody is") {
    in_master<ToBoth>(plain_options(), [](ToBoth& app) -> Task<> {
        app.spawn(host);
        const std::uint16_t port = co_await served_port(app);
        Client client(app.context(), port);
        app.spawn(host);
        const std::string greeting = co_await client.read_line();
        CHECK(who(greeting) == 2);
    });
}

} // namespace
