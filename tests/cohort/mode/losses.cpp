// SPDX-License-Identifier: MIT
// Whatever happens to workers, in both modes: connections that nobody has taken are served by somebody.
#include <cohort/mode.hpp>

#include <cohort/detail/socket/socket_address.hpp>

#include <asio/read.hpp>
#include <asio/use_awaitable.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <map>
#include <set>
#include <utility>

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace test;

namespace {

constexpr int crowd_size = 50;

Endpoint local(std::uint16_t port) { return Endpoint::tcp("127.0.0.1", port); }

int answered(const std::map<WorkerId, int>& served) {
    int sum = 0;
    for (const auto& [worker, count] : served) sum += worker == 0 ? 0 : count;
    return sum;
}

/// Two workers that accept nothing yet, and a crowd that waits.
template <class A>
Task<std::vector<Client>> two_workers_and_a_crowd(A& app) {
    for (int i = 0; i < 2; ++i) app.spawn(serve_when_told<typename A::Worker>);
    const std::uint16_t port = co_await served_port(app, 2);
    auto clients = crowd(app, local(port), crowd_size);
    co_await pause(app.context(), 20ms); // the master may hand over what it likes
    co_return clients;
}

TEST_CASE_TEMPLATE("connections that a killed worker had not taken are served by the others", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        auto clients = co_await two_workers_and_a_crowd(app);
        app.kill(1, SIGKILL);
        co_await end_of(app, 1);
        co_await tell(app, 2, "serve");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, crowd_size}});
    });
}

TEST_CASE_TEMPLATE("connections that a crashed worker had not taken are served by its successor, or by others", A, App,
                   SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        auto clients = co_await two_workers_and_a_crowd(app);
        ::kill(app.workers().at(0).pid, SIGKILL);
        co_await end_of(app, 1);
        co_await served_port(app);
        co_await tell(app, 3, "serve");
        co_await tell(app, 2, "serve");
        const auto served = co_await answers(clients);
        CHECK(answered(served) == crowd_size);
    });
}

TEST_CASE_TEMPLATE("a lone worker's queue waits for its successor", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.listen = {any_port()};
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(serve_when_told<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        auto clients = crowd(app, local(port), crowd_size);
        ::kill(app.workers().at(0).pid, SIGKILL);
        co_await end_of(app, 1);
        auto late = crowd(app, local(port), 5); // nobody lives now
        co_await served_port(app);
        co_await tell(app, 2, "serve");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, crowd_size}});
        const auto served_late = co_await answers(late);
        CHECK(served_late == std::map<WorkerId, int>{{2, 5}});
    });
}

template <class W>
Task<> close_when_told(W& self) {
    {
        auto listener = co_await self.listen(any_port());
        const auto note = co_await self.receive();
        if (note && note->number == 1) listener.close(); // else it is destroyed
    }
    co_await say(self, "closed");
    co_await self.until_stopping();
}

TEST_CASE_TEMPLATE("connections that wait at a listener which its worker closes are served by the others", A, App,
                   SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const WorkerId closing = app.spawn(close_when_told<typename A::Worker>);
        const WorkerId serving = app.spawn(serve_when_told<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app, 2);
        auto clients = crowd(app, local(port), crowd_size);
        co_await pause(app.context(), 20ms);
        co_await tell(app, closing, "close", 1);
        co_await mail(app);
        co_await tell(app, serving, "serve");
        auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{serving, crowd_size}});
        auto later = crowd(app, local(port), crowd_size); // nothing goes to where nobody listens
        served = co_await answers(later);
        CHECK(served == std::map<WorkerId, int>{{serving, crowd_size}});
    });
}

TEST_CASE_TEMPLATE("the same while connections keep coming", A, App, SharedApp) {
    for (int round = 0; round < 10; ++round) {
        in_master<A>(plain_options(), [](A& app) -> Task<> {
            const WorkerId closing = app.spawn(close_when_told<typename A::Worker>);
            const WorkerId serving = app.spawn(server);
            const std::uint16_t port = co_await served_port(app, 2);
            auto clients = crowd(app, local(port), 20);
            co_await tell(app, closing, "close");
            for (int i = 0; i < 10; ++i) {
                auto more = crowd(app, local(port), 3);
                std::ranges::move(more, std::back_inserter(clients));
                co_await pause(app.context(), 1ms);
            }
            const auto served = co_await answers(clients);
            CHECK(served == std::map<WorkerId, int>{{serving, 50}});
        });
    }
}

TEST_CASE_TEMPLATE("a worker that is asked to leave, or stop(), loses no connection that was made before", A, App,
                   SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        auto clients = co_await two_workers_and_a_crowd(app);
        app.disconnect(1); // ends its wait to be told, too: it serves what it has
        co_await tell(app, 2, "serve");
        const auto served = co_await answers(clients);
        CHECK(answered(served) == crowd_size);
    });
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        auto clients = co_await two_workers_and_a_crowd(app);
        co_await app.stop();
        const auto served = co_await answers(clients);
        CHECK(answered(served) == crowd_size);
    });
}

TEST_CASE_TEMPLATE("the last worker that is asked to leave serves whoever had connected before", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        auto clients = co_await two_workers_and_a_crowd(app);
        for (const WorkerId worker : {1U, 2U}) app.disconnect(worker);
        const auto served = co_await answers(clients);
        CHECK(answered(served) == crowd_size);
        co_await app.until_finished();
    });
    Options limited = plain_options();
    limited.connections_per_worker = 1;
    in_master<A>(limited, [](A& app) -> Task<> {
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        Client first(app.context(), port);
        while (app.stats().total().open == 0) co_await pause(app.context(), 1ms);
        auto clients = crowd(app, local(port), crowd_size); // there is no room for any of them
        app.disconnect(1);
        const std::string reply = co_await first.ask("hello");
        CHECK(who(reply) == 1);
        const auto served = co_await answers(clients);
        CHECK(answered(served) == crowd_size);
    });
}

constexpr std::size_t early_bytes = 60'000;

template <class W>
Task<> count_bytes(W& self) {
    auto listener = co_await self.listen(any_port());
    const auto note = co_await self.receive();
    auto socket = co_await listener.accept();
    std::string text(early_bytes, ' ');
    co_await asio::async_read(*socket, asio::buffer(text), asio::use_awaitable);
    co_await say(self, text);
}

TEST_CASE_TEMPLATE("what a client sends before anybody has taken its connection is not lost", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const WorkerId worker = app.spawn(count_bytes<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        Client client(app.context(), port);
        std::string text;
        while (text.size() < early_bytes) text += std::to_string(text.size()) + " ";
        text.resize(early_bytes);
        client.write(text);
        co_await pause(app.context(), 10ms);
        co_await tell(app, worker, "accept");
        const auto received = co_await mail(app);
        CHECK((received.message.text == text));
    });
}

/// Accepts with no descriptor to spare, then with one, then with many.
template <class W>
Task<> serve_at_the_limit(W& self) {
    auto listener = co_await self.listen(any_port());
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t usual = limit.rlim_cur;
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    limit.rlim_cur = static_cast<rlim_t>(lowest_free);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    co_await say(self, "at the limit");
    co_await pause(self.context(), 100ms);
    limit.rlim_cur = static_cast<rlim_t>(lowest_free) + 1;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    auto first = co_await listener.accept();
    co_await answer(self, std::move(*first));
    limit.rlim_cur = usual;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    co_await serve(self, listener);
}

TEST_CASE_TEMPLATE("a worker without free descriptors loses no connection: it serves them when it has some", A, App,
                   SharedApp) {
#if defined(COHORT_SANITIZED)
    return; // the sanitizer needs descriptors itself: it looks at memory through a pipe
#endif
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const WorkerId worker = app.spawn(serve_at_the_limit<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        co_await mail(app);
        auto clients = crowd(app, local(port), crowd_size);
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{worker, crowd_size}});
    });
}

/// How many of so many connections the kernel completes at once.
int completed(const Endpoint& endpoint, int attempts) {
    std::error_code error;
    const auto address = detail::to_socket_address(endpoint, error);
    std::vector<detail::UniqueFd> sockets;
    int count = 0;
    for (int i = 0; i < attempts; ++i) {
        sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        [[maybe_unused]] const int under_way = ::connect(sockets.back().get(), address.get(), address.size);
        pollfd poll{sockets.back().get(), POLLOUT, 0};
        count += ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLERR) == 0 ? 1 : 0;
    }
    return count;
}

TEST_CASE_TEMPLATE("the length of the kernel's queue is what the options say", A, App, SharedApp) {
    Options options = plain_options();
    options.backlog = 3;
    options.credit = 1;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(serve_when_told<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        const int count = completed(local(port), 20); // the master cannot accept meanwhile
        CHECK(count >= 3);
        CHECK(count <= 5);
    });
}

TEST_CASE_TEMPLATE("under load, workers that are killed take at most what they were serving with them", A, App,
                   SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.listen = {any_port()};
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 3);
        int failures = 0;
        constexpr int kills = 6;
        for (int i = 0; i < kills; ++i) {
            auto clients = crowd(app, local(port), 30);
            const auto workers = app.workers();
            ::kill(workers[static_cast<std::size_t>(i) % workers.size()].pid, SIGKILL);
            auto more = crowd(app, local(port), 30);
            auto served = co_await answers(clients);
            failures += 30 - answered(served);
            served = co_await answers(more);
            failures += 30 - answered(served);
        }
        CHECK(failures <= kills); // a worker serves one at a time
    });
}

} // namespace
