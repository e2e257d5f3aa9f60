// SPDX-License-Identifier: MIT
// Connections that a master has accepted and that live on in its workers.
#include <cohort/worker.hpp>

#include <cohort/acceptor.hpp>
#include <cohort/http.hpp>

#include "support/handles.hpp"
#include "support/process.hpp"

#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <map>
#include <memory>

using namespace test;

namespace {

using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

/// The connections that a worker holds, each under the name it came with.
using Held = std::map<std::string, Socket>;

/// Says so when a connection has ended, whoever ended it.
Task<> watch(Loads::Worker& self, std::shared_ptr<Held> held, std::string name) {
    std::string text;
    std::error_code error;
    co_await asio::async_read(held->at(name), asio::dynamic_buffer(text),
                              asio::redirect_error(asio::use_awaitable, error));
    held->erase(name);
    const Load ended{name, Handle()};
    co_await self.send(ended);
}

/// Holds what it is given, ends what it is told to, and answers how many it has.
Task<> hold(Loads::Worker& self) {
    const auto held = std::make_shared<Held>();
    while (auto mail = co_await self.receive_mail()) {
        Load& load = mail->message;
        if (load.handle) {
            held->emplace(load.text, to_socket(self.get_executor(), std::move(load.handle)));
            spawn(self.context(), watch(self, held, load.text));
        } else if (mail->expects_reply()) {
            const Load count{std::to_string(held->size()), Handle()};
            co_await mail->reply(count);
        } else {
            held->at(load.text).shutdown(Socket::shutdown_both);
        }
    }
}

Task<int> held_by(Loads& app, WorkerId worker) {
    const Load question{"how many?", Handle()};
    const auto answer = co_await app.call(worker, question, limit);
    co_return std::stoi(answer.text);
}

TEST_CASE("a master counts the connections that live in its workers, until the last has ended") {
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        constexpr int count = 12;
        const WorkerId workers[] = {app.spawn(hold), app.spawn(hold)};
        const auto before = open_descriptors().size();
        std::vector<tcp::socket> clients;
        for (int i = 0; i < count; ++i) {
            TcpPair connection(app.context());
            clients.push_back(std::move(connection.client));
            co_await send_load(app, workers[i % 2], std::to_string(i), Handle(std::move(connection.server)));
        }
        int left[] = {count / 2, count / 2};
        for (int i = 0; i < count; ++i) {
            for (int worker : {0, 1}) {
                const int held = co_await held_by(app, workers[worker]);
                CHECK(held == left[worker]);
            }
            CHECK(open_descriptors().size() == before + clients.size()); // none of the workers' ends is here
            const bool client_ends = i < count / 2;
            if (client_ends)
                clients[static_cast<std::size_t>(i)].shutdown(tcp::socket::shutdown_both);
            else
                co_await send_load(app, workers[i % 2], std::to_string(i));
            const auto ended = co_await mail(app);
            CHECK(ended.from == workers[i % 2]);
            CHECK(ended.message.text == std::to_string(i));
            --left[i % 2];
            const auto rest = co_await read_all(clients[static_cast<std::size_t>(i)]);
            CHECK(rest.empty());
        }
        for (const WorkerId worker : workers) {
            const int held = co_await held_by(app, worker);
            CHECK(held == 0);
        }
    });
}

// HTTP

/// What a worker's server accepts: the connections that come in messages.
struct Arrivals {
    Loads::Worker& self;
    Task<std::optional<Socket>> accept() {
        auto load = co_await self.receive();
        if (!load) co_return std::nullopt;
        co_return to_socket(self.get_executor(), std::move(load->handle));
    }
};

constexpr auto idle_in_worker = 300ms;
constexpr auto idle_in_master = 40ms;

Task<http::Response> answer_in_worker(const http::Request&) { co_return http::text("the worker!"); }
Task<http::Response> answer_in_master(const http::Request&) { co_return http::text("the master!"); }

Task<> serve_arrivals(Loads::Worker& self) {
    Arrivals arrivals{self};
    const http::ServerOptions options{.idle_timeout = idle_in_worker};
    co_await http::serve(arrivals, &answer_in_worker, options);
}

/// What the master's server accepts: the first connection. Those that follow go to the worker, and a copy stays here.
struct Dealer {
    Loads& app;
    WorkerId worker;
    tcp::acceptor acceptor{app.context(), {asio::ip::address_v4::loopback(), 0}};
    std::vector<Handle> copies{};
    bool is_first = true;
    bool has_ended = false;

    Task<std::optional<Socket>> accept() {
        for (;;) {
            std::error_code error;
            tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
            if (error) co_return std::nullopt;
            if (std::exchange(is_first, false)) co_return Socket(std::move(socket));
            copies.push_back(Handle::copy_of(socket.native_handle()));
            co_await send_load(app, worker, "", Handle(std::move(socket)));
        }
    }
    static Task<> serve(Dealer& self) {
        const http::ServerOptions options{.idle_timeout = idle_in_master};
        co_await http::serve(self, &answer_in_master, options);
        self.has_ended = true;
    }
};

/// Asks on a connection that stays open; gives the body.
Task<std::string> ask(tcp::socket& socket) {
    asio::write(socket, asio::buffer(std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    std::string text;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(text), '!', asio::use_awaitable);
    co_return text.substr(text.find("\r\n\r\n") + 4);
}

/// How the other side ends a connection that nobody asks on any more.
Task<> wait_for_end(tcp::socket& socket, std::error_code& end) {
    char byte = 0;
    std::error_code error;
    co_await asio::async_read(socket, asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
    end = error;
}

TEST_CASE("a connection handed to a worker is served by its HTTP server") {
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        const WorkerId worker = app.spawn(serve_arrivals);
        TcpPair connection(app.context());
        asio::write(connection.client,
                    asio::buffer(std::string("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")));
        co_await send_load(app, worker, "", Handle(std::move(connection.server)));
        const auto answer = co_await read_all(connection.client);
        CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        CHECK(answer.ends_with("the worker!"));
    });
}

/// One connection stays in the master, and one is passed on.
Task<> pass_one_on(Dealer& dealer, bool keeps_the_copy) {
    tcp::socket own(dealer.app.context());
    tcp::socket passed(dealer.app.context());
    own.connect(dealer.acceptor.local_endpoint());
    passed.connect(dealer.acceptor.local_endpoint());
    const auto from_master = co_await ask(own);
    CHECK(from_master == "the master!");
    std::error_code own_end;
    spawn(dealer.app.context(), wait_for_end(own, own_end));
    while (!own_end) { // by the timeout of the master's server
        const auto answer = co_await ask(passed);
        CHECK(answer == "the worker!");
        co_await pause(dealer.app.context(), 1ms);
    }
    CHECK(own_end == asio::error::eof);
    CHECK(dealer.copies.size() == 1);
    if (!keeps_the_copy) dealer.copies.clear();
    const auto begin = Clock::now();
    const auto last = co_await ask(passed);
    CHECK(last == "the worker!");
    std::error_code end;
    co_await wait_for_end(passed, end);
    CHECK(end == asio::error::eof);
    CHECK(Clock::now() - begin >= idle_in_worker);
}

Task<> serve_both(Loads& app, bool keeps_the_copy) {
    const WorkerId worker = app.spawn(serve_arrivals);
    const auto before = open_descriptors().size();
    {
        Dealer dealer{app, worker};
        spawn(app.context(), Dealer::serve(dealer));
        co_await pass_one_on(dealer, keeps_the_copy);
        dealer.acceptor.close();
        while (!dealer.has_ended) co_await pause(app.context(), 1ms);
    }
    CHECK(open_descriptors().size() == before);
}

TEST_CASE("a connection that a server passed on is ended by its new server's timeout alone, wherever copies are") {
    SUBCASE("the master's copy goes first") {
        in_master<Loads>(plain_options(), [](Loads& app) { return serve_both(app, false); });
    }
    SUBCASE("the master's copy is kept") {
        in_master<Loads>(plain_options(), [](Loads& app) { return serve_both(app, true); });
    }
}

} // namespace
