// SPDX-License-Identifier: MIT
#include <cohort/mode/least_connections.hpp>

#include "support/client.hpp"

using namespace test;

namespace {

using Fair = Master<Note, LeastConnections>;

TEST_CASE("whoever has the fewest connections gets the next") {
    in_master<Fair>(plain_options(), [](Fair& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        std::map<WorkerId, std::vector<Client>> of;
        for (int i = 0; i < 8; ++i) {
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            of[who(greeting)].push_back(std::move(client));
        }
        CHECK(of[1].size() == 4);
        CHECK(of[2].size() == 4);

        // Three of one worker's clients leave: the next three are its own.
        for (int i = 0; i < 3; ++i) of[1].pop_back();
        while (app.stats().total().open > 5) co_await pause(app.context(), 1ms);
        for (int i = 0; i < 3; ++i) {
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            CHECK(who(greeting) == 1);
            of[1].push_back(std::move(client));
        }
    });
}

TEST_CASE("a worker that answers slowly gets less to do") {
    in_master<Fair>(plain_options(), [](Fair& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        // The first worker's clients stay, the second one's leave at once.
        std::vector<Client> stay;
        std::map<WorkerId, int> count;
        for (int i = 0; i < 40; ++i) {
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            ++count[who(greeting)];
            if (who(greeting) == 1) {
                stay.push_back(std::move(client));
            } else {
                const auto open = app.stats().total().open;
                client.close();
                while (app.stats().total().open >= open) co_await pause(app.context(), 1ms);
            }
        }
        CHECK(count[1] <= 2);
    });
}

} // namespace
