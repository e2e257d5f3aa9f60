// SPDX-License-Identifier: MIT
// The end of listening, in both modes: what a worker lives for, who has the address afterwards, and that nothing is
// left behind.
#include <cohort/mode.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include "support/child.hpp"
#include "support/client.hpp"
#include "support/free_port.hpp"
#include "support/process.hpp"

#include <asio/post.hpp>

#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include <unistd.h>

using namespace test;

namespace {

constexpr int clients_at_once = 40;

Endpoint wanted_endpoint; // for bodies, set before the fork

Endpoint local(std::uint16_t port) { return Endpoint::tcp("127.0.0.1", port); }

/// An address that nobody has, and that nobody is given by chance.
Endpoint free_endpoint() { return Endpoint::tcp("127.0.0.86", free_port()); }

/// Another program could have it.
bool is_free(const Endpoint& endpoint) {
    return in_child([&] {
               std::error_code error;
               return cohort::detail::open_listener(endpoint, false, 1, error) ? 0 : 1;
           }) == 0;
}

std::ptrdiff_t descriptors_of(pid_t process) {
    using Folder = std::filesystem::directory_iterator;
    return std::distance(Folder("/proc/" + std::to_string(process) + "/fd"), Folder());
}

template <class A>
Task<> wait_for_descriptors(A& app, pid_t process, std::ptrdiff_t most) {
    for (int i = 0; i < 5'000 && descriptors_of(process) > most; ++i) co_await pause(app.context(), 1ms);
    CHECK(descriptors_of(process) <= most);
}

template <class W>
Task<> serve_wanted_endpoint(W& self) {
    auto listener = co_await self.listen(wanted_endpoint);
    co_await serve(self, listener);
}

template <class W>
Task<> close_when_told(W& self, Listener& listener) {
    const auto note = co_await self.receive();
    listener.close();
}
template <class W>
Task<> serve_until_closed(W& self) {
    auto listener = co_await self.listen(any_port());
    spawn(self.context(), close_when_told(self, listener));
    co_await serve(self, listener);
}

TEST_CASE_TEMPLATE("a worker lives as long as it listens, and ends when its listener is closed", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const WorkerId worker = app.spawn(serve_until_closed<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        co_await pause(app.context(), 50ms); // nobody comes
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == worker);
        co_await tell(app, worker, "close");
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->success());
        CHECK(is_free(local(port)));
    });
}

/// Its body does not wait for what it has started.
template <class W>
Task<> return_while_serving(W& self) {
    spawn(self.context(), server(self));
    const auto note = co_await self.receive();
}
template <class W>
Task<> listen_and_return(W& self) {
    const auto anywhere = co_await self.listen({});
}

TEST_CASE_TEMPLATE("a listener does not keep a worker whose body has returned", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        WorkerId worker = app.spawn(return_while_serving<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == worker);
        co_await tell(app, worker, "return");
        Event end = co_await end_of(app, worker);
        CHECK(end.status->success());
        CHECK(is_free(local(port)));

        worker = app.spawn(listen_and_return<typename A::Worker>);
        end = co_await end_of(app, worker);
        CHECK(end.status->success());
    });
}

TEST_CASE_TEMPLATE("when all who shared a port have gone, it is another program's to have and nothing of it is left", A,
                   App, SharedApp) {
    for (const bool killed : {false, true}) {
        CAPTURE(killed);
        in_master<A>(plain_options(), [killed](A& app) -> Task<> {
            wanted_endpoint = free_endpoint();
            std::ptrdiff_t before = 0;
            for (int round = 0; round < 3; ++round) {
                for (int i = 0; i < 2; ++i) app.spawn(serve_wanted_endpoint<typename A::Worker>);
                co_await served_port(app, 2);
                auto clients = crowd(app, wanted_endpoint, clients_at_once);
                for (const auto& worker : app.workers()) {
                    if (killed)
                        app.kill(worker.id, SIGKILL);
                    else
                        app.disconnect(worker.id);
                }
                while (!app.workers().empty()) co_await next(app, WorkerState::exited);
                CHECK(is_free(wanted_endpoint));
                const auto served = co_await answers(clients); // each has an answer or an end
                if (!killed) CHECK_FALSE(served.contains(0));
                clients.clear();
                if (round == 0)
                    before = descriptors_of(::getpid());
                else
                    co_await wait_for_descriptors(app, ::getpid(), before);
            }
        });
    }
}

/// Has connections in its queue when it declines them, one way or the other.
template <class W>
Task<> decline(W& self) {
    auto listener = co_await self.listen(any_port());
    co_await say(self, "listening");
    const auto how = co_await self.receive();
    if (how->text == "limit")
        self.limit_connections(0);
    else
        listener.close();
    co_await keep_all(self, listener);
    co_await self.until_stopping();
}

template <class W>
Task<> serve_after_a_word(W& self) {
    auto listener = co_await self.listen(any_port());
    co_await say(self, "listening");
    const auto note = co_await self.receive();
    co_await serve(self, listener);
}

TEST_CASE_TEMPLATE("a connection that a worker declines is served by another, and open nowhere else", A, App,
                   SharedApp) {
    Options options = plain_options();
    options.stuck_after = 100ms;
    for (const std::string how : {"limit", "close"}) {
        CAPTURE(how);
        in_master<A>(options, [how](A& app) -> Task<> {
            app.spawn(decline<typename A::Worker>);
            app.spawn(serve_after_a_word<typename A::Worker>);
            const std::uint16_t port = co_await served_port(app, 2);
            for (int i = 0; i < 2; ++i) co_await mail(app);
            const pid_t processes[] = {app.workers().at(0).pid, app.workers().at(1).pid, ::getpid()};
            std::vector<std::ptrdiff_t> before;
            for (const pid_t process : processes) before.push_back(descriptors_of(process));
            auto clients = crowd(app, local(port), clients_at_once);
            co_await pause(app.context(), 20ms); // the master may hand over what it likes
            co_await tell(app, 1, how);
            co_await tell(app, 2, "serve");
            const auto served = co_await answers(clients);
            CHECK(served == std::map<WorkerId, int>{{2, clients_at_once}});
            clients.clear();
            for (std::size_t i = 0; i < 3; ++i) co_await wait_for_descriptors(app, processes[i], before[i]);
        });
    }
}

template <class W>
Task<> serve_shared(W& self, std::shared_ptr<Listener> listener) {
    co_await serve(self, *listener);
}
/// Opens and closes as it is told.
template <class W>
Task<> open_and_close(W& self) {
    std::shared_ptr<Listener> listener;
    while (const auto note = co_await self.receive()) {
        if (note->text == "open") {
            auto opened = co_await self.listen(wanted_endpoint);
            listener = std::make_shared<Listener>(std::move(opened));
            spawn(self.context(), serve_shared(self, listener));
        } else if (listener) {
            listener->close();
        }
        co_await say(self, note->text);
    }
}

TEST_CASE_TEMPLATE("workers may take a port from each other in any order", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        wanted_endpoint = free_endpoint();
        for (int i = 0; i < 2; ++i) app.spawn(open_and_close<typename A::Worker>);
        co_await tell(app, 1, "open");
        co_await mail(app);
        for (int round = 0; round < 20; ++round) {
            const WorkerId from = 1 + static_cast<WorkerId>(round % 2);
            const WorkerId to = 3 - from;
            // One after the other, or both at once.
            co_await tell(app, from, "close");
            if (round % 3 == 0) co_await mail(app);
            co_await tell(app, to, "open");
            co_await mail(app);
            if (round % 3 != 0) co_await mail(app);
            std::string reply = co_await ask(app, wanted_endpoint);
            CHECK(who(reply) == to);
            // And the first once more, without disturbing the second.
            co_await tell(app, from, "open");
            co_await mail(app);
            co_await tell(app, from, "close");
            co_await mail(app);
            reply = co_await ask(app, wanted_endpoint);
            CHECK(who(reply) == to);
        }
        co_await tell(app, 1, "close");
        co_await mail(app);
        while (!is_free(wanted_endpoint)) co_await pause(app.context(), 1ms); // the master hears of it in a moment
    });
}

/// Wants to listen, but not for long enough.
template <class W>
Task<> give_up_listening(W& self) {
    for (int i = 0; i < 60; ++i)
        co_await either(drop_result(self.listen(wanted_endpoint)),
                        pause(self.context(), std::chrono::milliseconds(i % 2)));
    const auto other = co_await self.listen(any_port());
    co_await pause(self.context(), 1ms); // an answer that came too late was let go of
    const auto another = co_await self.listen(any_port());
    co_await say(self, "given up");
    co_await self.until_stopping();
}

TEST_CASE_TEMPLATE("listening that was cancelled leaves nothing open", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        wanted_endpoint = free_endpoint();
        app.spawn(give_up_listening<typename A::Worker>);
        co_await mail(app);
        CHECK(is_free(wanted_endpoint));
    });
}

TEST_CASE_TEMPLATE("listening that was cancelled takes no connection from those who serve", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        wanted_endpoint = free_endpoint();
        const WorkerId steady = app.spawn(serve_wanted_endpoint<typename A::Worker>);
        co_await served_port(app);
        app.spawn(give_up_listening<typename A::Worker>);
        for (int i = 0; i < 30; ++i) {
            auto clients = crowd(app, wanted_endpoint, 5);
            const auto served = co_await answers(clients);
            CHECK(served == std::map<WorkerId, int>{{steady, 5}});
        }
        co_await mail(app);
    });
}

/// Has asked to listen when the end comes.
template <class W>
Task<> listen_at_the_end(W& self) {
    const auto how = co_await self.receive();
    co_await say(self, "about to listen");
    if (how->text == "leave") asio::post(self.context(), [&self] { self.disconnect(); });
    auto listener = co_await self.listen(wanted_endpoint);
    co_await serve(self, listener);
}

TEST_CASE_TEMPLATE("a worker that ends while its master answers it leaves no port open", A, App, SharedApp) {
    for (const std::string how : {"be asked", "leave", "be killed"}) {
        CAPTURE(how);
        in_master<A>(plain_options(), [how](A& app) -> Task<> {
            wanted_endpoint = free_endpoint();
            for (int round = 0; round < 12; ++round) {
                const WorkerId worker = app.spawn(listen_at_the_end<typename A::Worker>);
                co_await tell(app, worker, how);
                if (how[0] == 'b') {
                    co_await mail(app);
                    if (round % 3 != 0) co_await pause(app.context(), std::chrono::milliseconds(round % 3 - 1));
                    if (how == "be asked")
                        app.disconnect(worker);
                    else
                        app.kill(worker, SIGKILL);
                }
                const Event end = co_await end_of(app, worker);
                CHECK(end.voluntary);
                CHECK(end.status->success() == (how != "be killed"));
                CHECK(is_free(wanted_endpoint));
            }
        });
    }
}

} // namespace
