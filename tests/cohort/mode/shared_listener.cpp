// SPDX-License-Identifier: MIT
#include <cohort/mode/shared_listener.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/io_context.hpp>

#include "support/client.hpp"

#include <csignal>
#include <map>
#include <system_error>

using namespace test;

namespace {

using OneQueue = Master<Note, SharedListener>;

/// Serves when it is told to, one after the other.
template <class W>
Task<> serve_one_by_one(W& self) {
    auto listener = co_await self.listen(any_port());
    const auto note = co_await self.receive();
    co_await serve(self, listener);
}

TEST_CASE("a worker that is busy leaves the queue to the others") {
    in_master<OneQueue>(plain_options(), [](OneQueue& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_one_by_one<OneQueue::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 30);
        CHECK(app.stats().queues.at(0).length == 30);
        co_await tell(app, 2, "serve");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, 30}});
    });
}

TEST_CASE("one listener for all slots, and it stays when all workers are killed") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.listen = {any_port()};
    in_master<OneQueue>(options, [](OneQueue& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_one_by_one<OneQueue::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        const auto queues = app.stats().queues;
        REQUIRE(queues.size() == 1);
        CHECK_FALSE(queues[0].slot);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 30);
        for (const auto& worker : app.workers()) ::kill(worker.pid, SIGKILL);
        co_await served_port(app, 2);
        for (const auto& worker : app.workers()) co_await tell(app, worker.id, "serve");
        const auto served = co_await answers(clients);
        CHECK(served.count(0) == 0);
    });
}

TEST_CASE("another program's port is in use") {
    std::error_code error;
    const auto other = detail::open_listener(any_port(), false, 5, error);
    Options options = plain_options();
    options.listen = {detail::local_endpoint(other.get())};
    asio::io_context io;
    CHECK_THROWS_AS(OneQueue(io, options), std::system_error);
}

} // namespace
