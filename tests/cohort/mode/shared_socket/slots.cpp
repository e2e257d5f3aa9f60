// SPDX-License-Identifier: MIT
// SharedSocket alone: slots' own listeners, which outlive their workers and are never a dead end.
#include <cohort/mode/shared_socket.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <set>

using namespace test;

namespace {

using Worker = SharedApp::Worker;

Endpoint local(std::uint16_t port) { return Endpoint::tcp("127.0.0.1", port); }

/// The inodes of this process's listening TCP sockets.
std::set<std::string> listening_sockets() {
    std::set<std::string> result;
    for (const auto& [fd, target] : open_descriptors()) {
        int accepts = 0;
        socklen_t size = sizeof accepts;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && accepts != 0) result.insert(target);
    }
    return result;
}

Task<> say_socket(Worker& self) {
    auto listener = co_await self.listen(any_port());
    const std::string socket = *listening_sockets().begin();
    co_await say(self, socket, self.slot());
    co_await self.receive();
    co_await serve(self, listener);
}

TEST_CASE("each slot has a listener of its own, and a successor has the same one") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    SUBCASE("opened by the workers") {}
    SUBCASE("opened by the master") { options.listen = {any_port()}; }
    in_master<SharedApp>(options, [](SharedApp& app) -> Task<> {
        std::map<std::int64_t, std::string> sockets;
        for (int i = 0; i < 2; ++i) app.spawn(say_socket);
        for (int i = 0; i < 2; ++i) {
            const auto said = co_await mail(app);
            sockets[said.message.number] = said.message.text;
        }
        CHECK(sockets[0] != sockets[1]);
        ::kill(app.workers().at(1).pid, SIGKILL);
        const auto successor = co_await mail(app);
        CHECK(successor.from == 3);
        CHECK(successor.message.number == 1);
        CHECK(successor.message.text == sockets[1]);
        CHECK(listening_sockets() == std::set<std::string>{sockets[0], sockets[1]}); // the master's copies
    });
}

TEST_CASE("nothing passes through the master: what a worker accepted is not open there") {
    in_master<SharedApp>(plain_options(), [](SharedApp& app) -> Task<> {
        const WorkerId worker = app.spawn(say_socket);
        const std::uint16_t port = co_await served_port(app);
        auto clients = crowd(app, local(port), 10);
        const auto before = open_descriptors();
        co_await tell(app, worker, "go on");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{worker, 10}});
        CHECK(open_descriptors() == before);
    });
}

Task<> never_listen(Worker& self) { co_await self.until_stopping(); }

TEST_CASE("the share of a slot whose worker does not listen is served by the others") {
    Options options = plain_options();
    options.listen = {any_port()};
    in_master<SharedApp>(options, [](SharedApp& app) -> Task<> {
        app.spawn(never_listen);
        app.spawn(never_listen);
        const WorkerId serving = app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        auto clients = crowd(app, local(port), 60);
        auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{serving, 60}});
        app.kill(1);
        co_await end_of(app, 1);
        auto more = crowd(app, local(port), 60);
        served = co_await answers(more);
        CHECK(served == std::map<WorkerId, int>{{serving, 60}});
    });
}

TEST_CASE("the share of a slot that was given up is served by the others") {
    in_master<SharedApp>(plain_options(), [](SharedApp& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 3);
        ::kill(app.workers().at(0).pid, SIGKILL); // temporary: nobody comes
        app.disconnect(2);
        co_await end_of(app, 1);
        auto clients = crowd(app, local(port), 60);
        auto served = co_await answers(clients);
        served.erase(2); // it may still have served some
        CHECK_FALSE(served.contains(0));
        auto more = crowd(app, local(port), 60);
        served = co_await answers(more);
        CHECK(served == std::map<WorkerId, int>{{3, 60}});
        const WorkerId fourth = app.spawn(server); // in the first slot: its listener is served again
        co_await served_port(app);
        std::set<WorkerId> seen;
        for (int i = 0; i < 500 && seen.size() < 2; ++i) {
            const std::string reply = co_await ask(app, port);
            seen.insert(who(reply));
        }
        CHECK(seen == std::set<WorkerId>{3, fourth});
    });
}

TEST_CASE("kill after kill under load, each connection is served but for those that a killed worker had accepted") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.listen = {any_port()};
    in_master<SharedApp>(options, [](SharedApp& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(say_socket); // they accept nothing before they are told
        std::uint16_t port = co_await served_port(app, 2);
        auto clients = crowd(app, local(port), 40);
        for (int i = 0; i < 6; ++i) {
            const auto victim = app.workers().at(static_cast<std::size_t>(i % 2));
            ::kill(victim.pid, SIGKILL);
            co_await end_of(app, victim.id);
            port = co_await served_port(app);
        }
        const Note note{"go on", 0};
        co_await app.broadcast(note);
        const auto served = co_await answers(clients);
        CHECK_FALSE(served.contains(0));
    });
}

} // namespace
