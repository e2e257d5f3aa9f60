// SPDX-License-Identifier: MIT
// Leaving at odd moments: twice, together, without ever having listened, while something is open; and starts that fail.
#include <cohort/master.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <csignal>
#include <map>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace test;

namespace {

using enum WorkerState;

std::error_code disconnect_error(App& app, WorkerId worker) {
    try {
        app.disconnect(worker);
    } catch (const std::system_error& error) {
        return error.code();
    }
    return {};
}

TEST_CASE("asked to leave, then killed, then asked again: one end, and afterwards there is no such worker") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId leaving = app.spawn(server);
        const WorkerId killed = app.spawn(server);
        co_await served_port(app, 2);
        app.disconnect(leaving);
        app.kill(leaving, SIGKILL);
        app.disconnect(leaving);
        app.kill(killed, SIGKILL); // that one was not asked before
        app.disconnect(killed);
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), exited) == 2);
        for (const Event& event : events) CHECK((event.kind != exited || event.voluntary));
        for (const WorkerId worker : {leaving, killed}) CHECK(disconnect_error(app, worker) == Errc::no_such_worker);
    });
}

/// Two listeners at a time.
template <class W>
Task<> serve_two(W& self) {
    auto first = co_await self.listen(any_port());
    auto second = co_await self.listen(any_port());
    spawn(self.context(), serve(self, first));
    co_await serve(self, second);
}

TEST_CASE_TEMPLATE("eight workers with two listeners each serve and leave together, again and again", A, App,
                   SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        for (int round = 0; round < 3; ++round) {
            for (int i = 0; i < 8; ++i) app.spawn(serve_two<typename A::Worker>);
            std::map<std::uint16_t, int> ports;
            for (int i = 0; i < 16; ++i) {
                const Event event = co_await next(app, listening);
                ++ports[event.endpoint->port()];
            }
            CHECK(ports.size() == 2);
            for (const auto& [port, listeners] : ports) {
                CHECK(listeners == 8);
                const std::string reply = co_await ask(app, port);
                CHECK(who(reply) != 0);
            }
            for (const auto& worker : app.workers()) app.disconnect(worker.id);
            for (int i = 0; i < 8; ++i) {
                const Event end = co_await next(app, exited);
                CHECK(end.voluntary);
                CHECK(end.status->success());
            }
            CHECK(app.workers().empty());
            for (const auto& [port, listeners] : ports) CHECK_THROWS_AS(Client(app.context(), port), std::system_error);
        }
    });
}

TEST_CASE("a stop passes over those that are leaving already, and waits for them too") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(server);
        co_await served_port(app, 4);
        app.disconnect(2);
        co_await end_of(app, 2);
        app.disconnect(3);
        co_await app.stop();
        CHECK(app.workers().empty());
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), draining) == 3); // workers 3, 1 and 4
        CHECK(std::ranges::count(kinds(events), exited) == 3);
    });
}

TEST_CASE("one leaves while another one comes") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int round = 0; round < 20; ++round) {
            const WorkerId leaving = app.spawn(server);
            co_await served_port(app);
            const WorkerId coming = app.spawn(server);
            app.disconnect(leaving);
            const Event first = co_await end_of(app, leaving);
            CHECK(first.status->success());
            app.disconnect(coming); // wherever it is by now
            const Event second = co_await end_of(app, coming);
            CHECK(second.status->success());
        }
    });
}

/// Has sockets that the cluster does not know of.
Task<int> with_own_sockets(App::Worker& self) {
    const asio::ip::tcp::acceptor acceptor(self.context(), {asio::ip::address_v4::loopback(), 0});
    asio::ip::udp::socket datagrams(self.context(), {asio::ip::address_v4::loopback(), 0});
    self.disconnect();
    co_await self.until_stopping();
    const std::string text = "to myself";
    datagrams.send_to(asio::buffer(text), datagrams.local_endpoint());
    char buffer[20];
    const std::size_t size = co_await datagrams.async_receive(asio::buffer(buffer), asio::use_awaitable);
    co_return static_cast<int>(size);
}

TEST_CASE("a worker with sockets of its own, none of them shared, leaves when its body is done with them") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(with_own_sockets);
        const Event end = co_await end_of(app, worker);
        CHECK(end.voluntary);
        CHECK(end.status->code() == 9);
    });
}

/// Leaves when somebody else ends a connection that it has made.
Task<> hold_a_connection(App::Worker& self) {
    const auto note = co_await self.receive();
    const auto port = static_cast<std::uint16_t>(note->number);
    asio::ip::tcp::socket socket(self.context());
    co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    co_await self.until_stopping();
    co_await say(self, "still connected");
    char byte = 0;
    for (std::error_code error; !error;) { // sends back what it gets
        co_await socket.async_read_some(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
        if (!error) co_await asio::async_write(socket, asio::buffer(&byte, 1), asio::use_awaitable);
    }
}

TEST_CASE("a worker that was asked to leave finishes what it does as a client") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        asio::ip::tcp::acceptor acceptor(app.context(), {asio::ip::address_v4::loopback(), 0});
        const WorkerId worker = app.spawn(hold_a_connection);
        co_await tell(app, worker, "connect", acceptor.local_endpoint().port());
        auto socket = co_await acceptor.async_accept(asio::use_awaitable);
        app.disconnect(worker);
        co_await mail(app);
        for (char byte = 'a'; byte < 'd'; ++byte) {
            char back = 0;
            co_await asio::async_write(socket, asio::buffer(&byte, 1), asio::use_awaitable);
            co_await asio::async_read(socket, asio::buffer(&back, 1), asio::use_awaitable);
            CHECK(back == byte);
        }
        socket.close();
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->success());
    });
}

/// Cannot listen, says so and leaves.
Task<int> leave_on_error(App::Worker& self) {
    const auto note = co_await self.receive();
    const Endpoint taken = Endpoint::tcp("127.0.0.1", static_cast<std::uint16_t>(note->number));
    const std::string result = co_await try_to_listen(self, taken);
    co_await say(self, result);
    self.disconnect();
    co_await self.until_stopping();
    co_return 5;
}

TEST_CASE("a worker that could not listen can leave by its own decision") {
    std::error_code error;
    const auto taken = detail::open_listener(any_port(), false, 1, error);
    const std::uint16_t port = detail::local_endpoint(taken.get()).port();
    in_master<App>(plain_options(), [port](App& app) -> Task<> {
        const WorkerId worker = app.spawn(leave_on_error);
        co_await tell(app, worker, "listen", port);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "Address already in use");
        const Event end = co_await end_of(app, worker);
        CHECK(end.voluntary);
        CHECK(end.status->code() == 5);
    });
}

Task<> throw_when_asked(App::Worker& self) {
    co_await self.until_stopping();
    throw std::runtime_error("on purpose");
}

TEST_CASE("a worker that throws when it is asked to leave has ended") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(throw_when_asked);
        co_await next(app, online);
        app.disconnect(1);
        const auto events = co_await all_events(app);
        CHECK(kinds(events) == std::vector{draining, exited});
        CHECK(events.back().status->code() == 1);
        CHECK(events.back().voluntary);
    });
}

// Starts

/// No descriptor more than there are, as long as it lives.
class NoMoreDescriptors {
public:
    NoMoreDescriptors() {
        int fd = 0;
        while ((fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) fillers_.push_back(fd);
    }
    ~NoMoreDescriptors() {
        for (const int fd : fillers_) ::close(fd);
    }

private:
    DescriptorLimit limit_{static_cast<unsigned long>(open_descriptors().rbegin()->first) + 1};
    std::vector<int> fillers_;
};

TEST_CASE("without free descriptors a start is an error and no event, a reload changes nothing, and both work later") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        // A sanitizer opens a pipe when it meets an object's type for the first time: all of them are met here.
        ReloadReport report = co_await app.reload();
        CHECK_FALSE(report.error);
        co_await next(app, exited);
        std::error_code refused;
        {
            const NoMoreDescriptors none;
            try {
                app.spawn(server);
            } catch (const std::system_error& error) {
                refused = error.code();
            }
            report = co_await app.reload();
        }
        CHECK(refused == std::errc::too_many_files_open);
        CHECK(report.error == std::errc::too_many_files_open);
        CHECK(app.workers().size() == 1);
        const std::string reply = co_await ask(app, port);
        CHECK(who(reply) == 2);
        report = co_await app.reload();
        CHECK_FALSE(report.error);
        CHECK(app.spawn(idle) == 4);
        co_await app.stop();
        const auto events = co_await all_events(app);
        CHECK(std::ranges::count(kinds(events), forked) == 2);
    });
}

int echo_ends[2];

Task<> echo_beside_the_channel(App::Worker&) {
    char buffer[20];
    const ssize_t size = ::read(echo_ends[1], buffer, sizeof buffer);
    if (size > 0) [[maybe_unused]]
        const auto written = ::write(echo_ends[1], buffer, static_cast<std::size_t>(size));
    co_return;
}

TEST_CASE("a descriptor that the program has opened is there in its workers") {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, echo_ends) == 0);
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(echo_beside_the_channel);
        CHECK(::write(echo_ends[0], "hello", 5) == 5);
        const auto events = co_await all_events(app);
        CHECK(events.back().status->success());
        char buffer[20] = {};
        CHECK(::recv(echo_ends[0], buffer, sizeof buffer, MSG_DONTWAIT) == 5);
        CHECK(std::string(buffer) == "hello");
    });
    ::close(echo_ends[0]);
    ::close(echo_ends[1]);
}

/// A worker that is the master of the next one.
Task<int> chain(App::Worker& self) {
    const auto left = self.args().size();
    if (left == 0) co_return 1;
    App app(self.context(), plain_options());
    WorkerOptions options;
    options.args.resize(left - 1);
    const WorkerId worker = app.spawn(chain, options);
    const Event end = co_await end_of(app, worker);
    co_return end.status->code().value_or(100) + 1;
}

TEST_CASE("a worker may be the master of other workers: a chain of five ends from its end on") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        WorkerOptions options;
        options.args.resize(4);
        const WorkerId worker = app.spawn(chain, options);
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->code() == 5);
    });
}

Task<> head_of_chain(App::Worker& self) {
    App app(self.context(), plain_options());
    app.spawn(idle);
    co_await next(app, online);
    co_await say(self, "pid", app.workers()[0].pid);
    co_await self.until_stopping();
    for (;;) co_await pause(self.context(), 1h);
}

TEST_CASE("a worker's workers do not outlive it") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(head_of_chain);
        const auto said = co_await mail(app);
        const Watched grandchild(static_cast<pid_t>(said.message.number));
        app.kill(worker, SIGKILL);
        co_await end_of(app, worker);
        CHECK(grandchild.ends_within(20s));
    });
}

} // namespace
