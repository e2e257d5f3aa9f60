// SPDX-License-Identifier: MIT
// UDP ports shared by workers, as they are in every mode, and the socket that a worker has of one.
#include <cohort/datagram_socket.hpp>

#include "support/cluster.hpp"
#include "support/exec_worker.hpp"
#include "support/process.hpp"

#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <map>
#include <optional>
#include <set>

using namespace test;
using asio::ip::udp;

namespace {

Endpoint wanted; // for bodies, set before the fork

Endpoint any_udp_port() { return Endpoint("127.0.0.1:0"); }

bool has_ipv6() {
    std::error_code error;
    return static_cast<bool>(cohort::detail::open_bound("[::1]:0", false, error));
}

/// Nobody has it.
bool is_free(const Endpoint& endpoint) {
    std::error_code error;
    return static_cast<bool>(cohort::detail::open_bound(endpoint, false, error, SOCK_DGRAM));
}

/// Somebody who sends, from a port of its own.
class Sender {
public:
    explicit Sender(const Endpoint& to) : to_(cohort::detail::to_socket_address(to, error_)) {
        socket_ = cohort::detail::UniqueFd(::socket(to_.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    }
    void send(const std::string& text) {
        REQUIRE(::sendto(socket_.get(), text.data(), text.size(), 0, to_.get(), to_.size) >= 0);
    }
    /// Empty when none comes in time.
    std::string receive() {
        std::array<char, 256> text{};
        if (!readable_within(socket_.get(), 5s)) return {};
        const auto size = ::recv(socket_.get(), text.data(), text.size(), 0);
        return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }
    std::string ask(const std::string& text) {
        send(text);
        return receive();
    }

private:
    std::error_code error_;
    cohort::detail::SocketAddress to_;
    cohort::detail::UniqueFd socket_;
};

/// The worker that answered; 0: none.
WorkerId ask_somebody(const Endpoint& endpoint) {
    const std::string reply = Sender(endpoint).ask("who");
    return reply.empty() ? 0 : static_cast<WorkerId>(std::stoul(reply));
}

std::map<WorkerId, int> ask_often(const Endpoint& endpoint, int times) {
    std::map<WorkerId, int> answers;
    for (int i = 0; i < times && !answers.contains(0); ++i) ++answers[ask_somebody(endpoint)];
    return answers;
}

std::set<WorkerId> who_answers(const Endpoint& endpoint, std::size_t enough) {
    std::set<WorkerId> answered;
    for (int i = 0; i < 2000 && answered.size() < enough && !answered.contains(0); ++i)
        answered.insert(ask_somebody(endpoint));
    return answered;
}

// In workers

/// Answers each datagram with the worker's number and what came.
template <class W>
Task<> answer_datagrams(W& self, DatagramSocket& socket) {
    for (;;) {
        std::array<char, 256> data{};
        udp::endpoint sender;
        const std::size_t size = co_await socket.async_receive_from(asio::buffer(data), sender, asio::use_awaitable);
        const std::string reply = std::to_string(self.id()) + " " + std::string(data.data(), size);
        co_await socket.async_send_to(asio::buffer(reply), sender, asio::use_awaitable);
    }
}

template <class W>
Task<> serve_datagrams(W& self, DatagramSocket& socket) {
    co_await either(answer_datagrams(self, socket), self.until_stopping());
}

template <class W>
Task<> serve_wanted(W& self) {
    auto socket = co_await self.bind(wanted);
    co_await serve_datagrams(self, socket);
}

template <class W>
Task<std::string> try_to_bind(W& self, Endpoint endpoint) {
    try {
        const auto socket = co_await self.bind(endpoint);
    } catch (const std::system_error& error) {
        co_return error.code().message();
    }
    co_return "bound";
}

/// The endpoint of a worker that has bound it.
template <class A>
Task<Endpoint> bound_endpoint(A& app, unsigned count = 1) {
    Endpoint endpoint;
    for (unsigned i = 0; i < count; ++i) {
        const Event event = co_await next(app, WorkerState::listening);
        endpoint = *event.endpoint;
    }
    co_return endpoint;
}

TEST_CASE_TEMPLATE("workers that bind the same UDP port each get datagrams", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        wanted = any_udp_port();
        for (int i = 0; i < 4; ++i) app.spawn(serve_wanted<typename A::Worker>);
        std::set<std::string> endpoints;
        for (int i = 0; i < 4; ++i) {
            const Event event = co_await next(app, WorkerState::listening);
            endpoints.insert(event.endpoint->to_string());
        }
        REQUIRE(endpoints.size() == 1);
        const Endpoint endpoint(*endpoints.begin());
        CHECK(endpoint.port() != 0);
        CHECK(who_answers(endpoint, 4) == std::set<WorkerId>{1, 2, 3, 4});
        CHECK(Sender(endpoint).ask("").ends_with(" ")); // an empty datagram is one, too
    });
}

Task<> greet(App::Worker& self) {
    auto socket = co_await self.bind(any_udp_port());
    co_await self.until_stopping();
    const udp::endpoint to(asio::ip::address_v4::loopback(), wanted.port());
    co_await socket.async_send_to(asio::buffer(std::to_string(self.id())), to, asio::use_awaitable);
}

TEST_CASE("workers send to a socket of the master's, from the port that they share") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        udp::socket socket(app.context(), udp::endpoint(asio::ip::address_v4::loopback(), 0));
        wanted = Endpoint::tcp("127.0.0.1", socket.local_endpoint().port());
        for (int i = 0; i < 3; ++i) app.spawn(greet);
        const Endpoint shared = co_await bound_endpoint(app, 3);
        for (const auto& worker : app.workers()) app.disconnect(worker.id);
        std::set<std::string> greetings;
        for (int i = 0; i < 3; ++i) {
            std::array<char, 16> data{};
            udp::endpoint sender;
            const auto size = co_await socket.async_receive_from(asio::buffer(data), sender, asio::use_awaitable);
            greetings.emplace(data.data(), size);
            CHECK(sender.port() == shared.port());
        }
        CHECK(greetings == std::set<std::string>{"1", "2", "3"});
    });
}

TEST_CASE("the master's own UDP socket is shared by all workers, and remains the master's") {
    std::error_code error;
    cohort::detail::UniqueFd original = cohort::detail::open_bound(any_udp_port(), false, error, SOCK_DGRAM);
    const Endpoint endpoint = cohort::detail::local_endpoint(original.get());
    const int fd = original.release();
    in_master<App>(plain_options(), [&](App& app) -> Task<> {
        wanted = Endpoint::inherited(fd);
        for (int i = 0; i < 2; ++i) app.spawn(serve_wanted<App::Worker>);
        const Endpoint shared = co_await bound_endpoint(app, 2);
        CHECK(shared == endpoint);
        CHECK_FALSE(ask_often(endpoint, 20).contains(0));
        app.disconnect(1);
        co_await end_of(app, 1);
        CHECK(ask_often(endpoint, 20) == std::map<WorkerId, int>{{2, 20}});
    });
    CHECK(cohort::detail::local_endpoint(fd) == endpoint);
    ::close(fd);
}

/// The worker's slot says which.
Task<> serve_one_of_two(App::Worker& self) {
    const Endpoint v6 = Endpoint::tcp("::", wanted.port()).only_v6();
    const Endpoint v4 = Endpoint::tcp("0.0.0.0", wanted.port());
    const Endpoint& mine = self.slot() % 2 == 0 ? v6 : v4;
    auto socket = co_await self.bind(mine);
    co_await serve_datagrams(self, socket);
}

TEST_CASE("UDP on IPv6 alone and on IPv4 share a port number, and both together serve both") {
    if (!has_ipv6()) return;
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        std::error_code error;
        wanted = cohort::detail::local_endpoint(cohort::detail::open_bound(0, false, error, SOCK_DGRAM).get());
        for (int i = 0; i < 4; ++i) app.spawn(serve_one_of_two);
        co_await bound_endpoint(app, 4);
        CHECK(who_answers(Endpoint::tcp("::1", wanted.port()), 2) == std::set<WorkerId>{1, 3});
        CHECK(who_answers(Endpoint::tcp("127.0.0.1", wanted.port()), 2) == std::set<WorkerId>{2, 4});
        wanted = Endpoint(0);
        const WorkerId fifth = app.spawn(serve_wanted<App::Worker>);
        const Endpoint both = co_await bound_endpoint(app);
        CHECK(ask_somebody(Endpoint::tcp("::1", both.port())) == fifth);
        CHECK(ask_somebody(Endpoint::tcp("127.0.0.1", both.port())) == fifth);
    });
}

Task<> bind_again_and_again(App::Worker& self) {
    auto first = co_await self.bind(any_udp_port());
    auto second = co_await self.bind(any_udp_port());
    const Endpoint kept = second.endpoint();
    auto twice = co_await self.bind(kept);
    bool right = first.port() != second.port() && twice.port() == second.port();
    for (int i = 0; i < 20; ++i) {
        first.close();
        first.close(); // does nothing more
        first = co_await self.bind(any_udp_port());
        right = right && first.is_open() && first.port() != second.port();
    }
    second.close();
    twice.close();
    second = co_await self.bind(kept);
    right = right && second.endpoint() == kept;
    co_await say(self, right ? "right" : "wrong", kept.port());
    co_await serve_datagrams(self, second);
}

TEST_CASE("a worker binds, closes and binds again, several ports and one of them twice") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(bind_again_and_again);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "right");
        const auto port = static_cast<std::uint16_t>(said.message.number);
        CHECK(ask_often(Endpoint::tcp("127.0.0.1", port), 10) == std::map<WorkerId, int>{{worker, 10}});
    });
}

Task<> receive_when_told(App::Worker& self) {
    auto socket = co_await self.bind(any_udp_port());
    co_await say(self, "bound", socket.port());
    co_await self.receive();
    for (;;) {
        std::array<char, 16> data{};
        const std::size_t size = co_await socket.async_receive(asio::buffer(data), asio::use_awaitable);
        co_await say(self, std::string(data.data(), size));
    }
}

TEST_CASE("the successor of a killed worker has its port, and the datagrams that it had not received") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(receive_when_told);
        const auto first = co_await mail(app);
        Sender sender(Endpoint::tcp("127.0.0.1", static_cast<std::uint16_t>(first.message.number)));
        for (int i = 0; i < 10; ++i) sender.send(std::to_string(i));
        ::kill(app.workers().at(0).pid, SIGKILL);
        co_await end_of(app, first.from);
        for (int i = 10; i < 20; ++i) sender.send(std::to_string(i)); // nobody is there
        const auto second = co_await mail(app);
        CHECK(second.from == 2);
        CHECK(second.message.number == first.message.number);
        co_await tell(app, 2, "go on");
        for (int i = 0; i < 20; ++i) {
            const auto datagram = co_await mail(app);
            CHECK(datagram.message.text == std::to_string(i));
        }
        app.kill(2);
    });
}

TEST_CASE("a worker that has gone for good gets no datagrams") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        wanted = any_udp_port();
        for (int i = 0; i < 3; ++i) app.spawn(serve_wanted<App::Worker>);
        const Endpoint endpoint = co_await bound_endpoint(app, 3);
        ::kill(app.workers().at(0).pid, SIGKILL); // temporary: nobody comes
        co_await end_of(app, 1);
        auto answers = ask_often(endpoint, 60);
        CHECK_FALSE(answers.contains(0));
        app.disconnect(2);
        co_await end_of(app, 2);
        answers = ask_often(endpoint, 60);
        CHECK(answers == std::map<WorkerId, int>{{3, 60}});
        app.disconnect(3);
        co_await end_of(app, 3);
        CHECK(is_free(endpoint));
    });
}

/// Without having received anything.
Task<> close_and_stay(App::Worker& self) {
    auto socket = co_await self.bind(wanted);
    co_await self.receive();
    socket.close();
    const auto other = co_await self.bind("127.0.0.2:0"); // the master has read what came before this
    co_await say(self, "closed");
    co_await self.until_stopping();
}

TEST_CASE("a worker that has closed its socket gets no datagrams") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        wanted = any_udp_port();
        const WorkerId steady = app.spawn(serve_wanted<App::Worker>);
        wanted = co_await bound_endpoint(app);
        const Endpoint endpoint = wanted;
        const WorkerId closing = app.spawn(close_and_stay);
        co_await bound_endpoint(app);
        co_await tell(app, closing, "close");
        co_await mail(app);
        CHECK(ask_often(endpoint, 60) == std::map<WorkerId, int>{{steady, 60}});
    });
}

Task<> bind_until_it_works(App::Worker& self) {
    const std::string foreign = co_await try_to_bind(self, "192.0.2.1:0");
    const std::string path = co_await try_to_bind(self, "unix:/tmp/cohort-datagrams");
    const std::string descriptor = co_await try_to_bind(self, "fd:999999");
    co_await say(self, foreign + ", " + path + ", " + descriptor);
    for (std::string result; result != "bound";) {
        result = co_await try_to_bind(self, wanted);
        co_await say(self, result);
        if (result != "bound") co_await self.receive();
    }
}

TEST_CASE("what the system says of a UDP port reaches the worker, which can try again") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        std::error_code error;
        auto holder = cohort::detail::open_bound(any_udp_port(), true, error, SOCK_DGRAM);
        wanted = cohort::detail::local_endpoint(holder.get());
        const WorkerId worker = app.spawn(bind_until_it_works);
        auto said = co_await mail(app);
        CHECK(said.message.text == "Cannot assign requested address, not a valid endpoint, Bad file descriptor");
        said = co_await mail(app);
        CHECK(said.message.text == "Address already in use");
        holder.reset();
        co_await tell(app, worker, "again");
        said = co_await mail(app);
        CHECK(said.message.text == "bound");
    });
}

Task<> bind_too_late(App::Worker& self) {
    co_await self.until_stopping();
    const std::string result = co_await try_to_bind(self, any_udp_port());
    co_await say(self, result);
}

TEST_CASE("a worker that is to leave binds nothing") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(bind_too_late);
        co_await next(app, WorkerState::online);
        app.disconnect(worker);
        const auto said = co_await mail(app);
        CHECK(said.message.text == "the cluster is stopping");
    });
}

Task<> give_up_binding(App::Worker& self) {
    for (int i = 0; i < 20; ++i)
        co_await either(drop_result(self.bind(wanted)), pause(self.context(), std::chrono::milliseconds(i % 2)));
    const auto other = co_await self.bind(any_udp_port());
    co_await pause(self.context(), 1ms); // an answer that came too late was let go of
    const auto another = co_await self.bind(any_udp_port());
    co_await say(self, "given up");
    co_await self.until_stopping();
}

TEST_CASE("binding that was cancelled leaves nothing bound") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        std::error_code error;
        wanted =
            cohort::detail::local_endpoint(cohort::detail::open_bound(any_udp_port(), false, error, SOCK_DGRAM).get());
        app.spawn(give_up_binding);
        co_await mail(app);
        CHECK(is_free(wanted));
    });
}

int start_anew() {
    asio::io_context io(1);
    App app(io, plain_options());
    wanted = any_udp_port();
    app.spawn(serve_wanted<App::Worker>);
    return 120; // never: spawn() is where the worker's life begins
}

const ExecWorker datagrams("exec-datagrams", start_anew);

TEST_CASE("programs started anew share a UDP port like any other worker") {
    Options options = plain_options();
    options.spawn = Spawn::exec;
    options.worker.program = "/proc/self/exe";
    options.worker.args = {"exec-datagrams"};
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_wanted<App::Worker>);
        const Endpoint endpoint = co_await bound_endpoint(app, 2);
        CHECK(who_answers(endpoint, 2) == std::set<WorkerId>{1, 2});
    });
}

Task<> wait_for_datagram(DatagramSocket& socket, std::error_code& error) {
    std::array<char, 16> data{};
    co_await socket.async_receive(asio::buffer(data), asio::redirect_error(asio::use_awaitable, error));
}

TEST_CASE("the master is told once that a socket was closed, however that came about") {
    asio::io_context io(1);
    int first = 0;
    int second = 0;
    const auto make = [&](int& told) {
        udp::socket socket(io, udp::endpoint(asio::ip::address_v4::loopback(), 0));
        const auto endpoint = Endpoint::tcp("127.0.0.1", socket.local_endpoint().port());
        return DatagramSocket(std::move(socket), endpoint, [&told] { ++told; });
    };
    {
        DatagramSocket a = make(first);
        const std::uint16_t port = a.port();
        DatagramSocket b = std::move(a);
        CHECK(b.is_open());
        CHECK(b.port() == port);
        CHECK(b.local_endpoint().port() == port);
        CHECK(first == 0);
        b = make(second); // closes what was there
        CHECK(first == 1);
        CHECK(second == 0);
        std::error_code error;
        spawn(io, wait_for_datagram(b, error));
        io.poll();
        b.close(error);
        CHECK_FALSE(error);
        CHECK_FALSE(b.is_open());
        io.run();
        CHECK(error == asio::error::operation_aborted);
    }
    CHECK(first == 1);
    CHECK(second == 1);
    { const DatagramSocket destroyed = make(first); }
    CHECK(first == 2);
}

} // namespace
