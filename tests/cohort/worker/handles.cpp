// SPDX-License-Identifier: MIT
// Sockets and files that pass between a master and its workers.
#include <cohort/acceptor.hpp>

#include <cohort/handle.hpp>
#include <cohort/master.hpp>

#include "support/handles.hpp"
#include "support/process.hpp"

#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <csignal>
#include <map>

#include <sys/mman.h>

using namespace test;

namespace {

using tcp = asio::ip::tcp;
using udp = asio::ip::udp;

/// Writes what the message says into the socket or file that came with it, and ends it.
Task<> write_into(Loads::Worker& self) {
    while (auto load = co_await self.receive()) {
        const auto text = load->text + " from worker " + std::to_string(self.id());
        if (::write(load->handle.get(), text.data(), text.size()) < 0) throw std::runtime_error("write");
        ::shutdown(load->handle.get(), SHUT_RDWR);
    }
}

TEST_CASE("twelve connections are handed to three workers, each is answered by its own") {
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        std::vector<WorkerId> workers;
        for (int i = 0; i < 3; ++i) workers.push_back(app.spawn(write_into));
        std::vector<tcp::socket> clients;
        for (std::size_t i = 0; i < 12; ++i) {
            TcpPair connection(app.context());
            clients.push_back(std::move(connection.client));
            co_await send_load(app, workers[i % 3], "hello", Handle(std::move(connection.server)));
        }
        for (std::size_t i = 0; i < 12; ++i) {
            const auto answer = co_await read_all(clients[i]);
            CHECK(answer == "hello from worker " + std::to_string(workers[i % 3]));
        }
    });
}

TEST_CASE("a sender that keeps its copy of a connection can go on writing to it") {
    struct Run {
        static Task<> write_first(Loads::Worker& self) {
            auto load = co_await self.receive();
            if (::write(load->handle.get(), "child", 5) != 5) throw std::runtime_error("write");
            const Load done{"written", Handle()};
            co_await self.send(done);
            co_await self.until_stopping();
        }
    };
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        const WorkerId worker = app.spawn(&Run::write_first);
        TcpPair connection(app.context());
        co_await send_load(app, worker, "", Handle::copy_of(connection.server.native_handle()));
        const auto done = co_await app.receive();
        CHECK(done->message.text == "written");
        asio::write(connection.server, asio::buffer("parent", 6));
        app.kill(worker, SIGKILL); // its copy goes with it
        co_await next(app, WorkerState::exited);
        connection.server.close();
        const auto heard = co_await read_all(connection.client);
        CHECK(heard == "childparent");
    });
}

TEST_CASE("bytes that had come before a connection was handed over are read by its new owner") {
    struct Run {
        static Task<> take_a_connection(Loads::Worker& self) {
            asio::io_context io;
            TcpPair connection(io);
            asio::write(connection.client, asio::buffer("early", 5));
            const Load load{"connection", Handle(std::move(connection.server))};
            co_await self.send(load);
            co_await self.until_stopping();
        }
    };
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        app.spawn(&Run::take_a_connection);
        auto received = co_await app.receive();
        auto socket = to_socket(app.context().get_executor(), std::move(received->message.handle));
        char text[5] = {};
        co_await asio::async_read(socket, asio::buffer(text), asio::use_awaitable);
        CHECK(std::string_view(text, 5) == "early");
    });
}

TEST_CASE("a UDP socket works in the worker it was sent to") {
    struct Run {
        static Task<> receive_datagram(Loads::Worker& self) {
            auto load = co_await self.receive();
            udp::socket socket(self.context(), udp::v4(), load->handle.release());
            char text[8] = {};
            const auto size = co_await socket.async_receive(asio::buffer(text), asio::use_awaitable);
            const Load heard{std::string(text, size), Handle()};
            co_await self.send(heard);
            co_await self.until_stopping();
        }
    };
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        const WorkerId worker = app.spawn(&Run::receive_datagram);
        udp::socket socket(app.context(), {asio::ip::address_v4::loopback(), 0});
        const auto address = socket.local_endpoint();
        co_await send_load(app, worker, "", Handle(std::move(socket)));
        udp::socket sender(app.context(), udp::v4());
        sender.send_to(asio::buffer("ping", 4), address);
        const auto heard = co_await app.receive();
        CHECK(heard->message.text == "ping");
    });
}

/// Receives datagrams until one says "end"; says how many there were.
Task<int> count_datagrams(udp::socket& socket) {
    for (int count = 0;; ++count) {
        char text[8] = {};
        const auto size = co_await socket.async_receive(asio::buffer(text), asio::use_awaitable);
        if (std::string_view(text, size) == "end") co_return count;
    }
}

TEST_CASE("master and worker may receive from the same UDP socket") {
    struct Run {
        static Task<> receive_some(Loads::Worker& self) {
            auto load = co_await self.receive();
            udp::socket socket(self.context(), udp::v4(), load->handle.release());
            const int count = co_await count_datagrams(socket);
            const Load heard{std::to_string(count), Handle()};
            co_await self.send(heard);
            co_await self.until_stopping();
        }
    };
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        constexpr int sent = 50;
        const WorkerId worker = app.spawn(&Run::receive_some);
        udp::socket socket(app.context(), {asio::ip::address_v4::loopback(), 0});
        co_await send_load(app, worker, "", Handle::copy_of(socket.native_handle()));
        udp::socket sender(app.context(), udp::v4());
        sender.connect(socket.local_endpoint());
        int here = 0;
        for (int i = 0; i < sent; ++i) {
            sender.send(asio::buffer("ping", 4));
            char text[8] = {};
            const auto is_there = [&] { return ::recv(socket.native_handle(), text, 1, MSG_PEEK | MSG_DONTWAIT) > 0; };
            while (i % 2 == 0 && is_there()) co_await pause(app.context(), 1ms); // the worker's
            here += ::recv(socket.native_handle(), text, sizeof text, MSG_DONTWAIT) > 0;
        }
        sender.send(asio::buffer("end", 3)); // nobody receives here any more
        const auto heard = co_await app.receive();
        const int there = std::stoi(heard->message.text);
        CHECK(here > 0);
        CHECK(there > 0);
        CHECK(here + there == sent);
    });
}

Task<> accept_here(tcp::acceptor& acceptor, int& count) {
    for (;;) {
        std::error_code error;
        tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        ++count;
        asio::write(socket, asio::buffer("master", 6), error);
    }
}

TEST_CASE("master and worker may accept on the same listener") {
    struct Run {
        static Task<> accept_there(Loads::Worker& self) {
            auto load = co_await self.receive();
            tcp::acceptor acceptor(self.context(), tcp::v4(), load->handle.release());
            for (;;) {
                tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
                std::error_code error;
                asio::write(socket, asio::buffer("worker", 6), error);
            }
        }
    };
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        const WorkerId worker = app.spawn(&Run::accept_there);
        tcp::acceptor acceptor(app.context(), {asio::ip::address_v4::loopback(), 0});
        acceptor.non_blocking(true); // somebody else may have been faster
        co_await send_load(app, worker, "", Handle::copy_of(acceptor.native_handle()));
        const auto local_address = acceptor.local_endpoint();
        int here = 0;
        spawn(app.context(), accept_here(acceptor, here));
        std::map<std::string, int> by;
        while (by["master"] == 0 || by["worker"] == 0) {
            REQUIRE(by["master"] + by["worker"] < 5'000);
            if (by["master"] > 20 && acceptor.is_open()) acceptor.close(); // it was always faster
            tcp::socket client(app.context());
            client.connect(local_address);
            const auto text = co_await read_all(client);
            ++by[text];
        }
        CHECK(by.size() == 2);
        CHECK(by["master"] == here);
        acceptor.close();
        app.kill(worker, SIGKILL);
        co_await next(app, WorkerState::exited);
    });
}

TEST_CASE("a worker that dies with descriptors on their way costs an error at most, and leaks nothing") {
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        const WorkerId warm_up = app.spawn(write_into);
        app.kill(warm_up, SIGKILL);
        co_await next(app, WorkerState::exited);
        const auto before = open_descriptors().size();
        const WorkerId worker = app.spawn([](Loads::Worker& self) -> Task<> { co_await self.until_stopping(); });
        std::vector<Task<>> sends;
        for (int i = 0; i < 100; ++i) {
            const Load load{std::string(10'000, 'x'), Handle(::memfd_create("load", MFD_CLOEXEC))};
            sends.push_back(app.send(worker, load)); // more than the socket holds
        }
        app.kill(worker, SIGKILL);
        int failed = 0;
        for (auto& send : sends) {
            try {
                co_await std::move(send);
            } catch (const std::system_error&) {
                ++failed;
            }
        }
        CHECK(failed > 0);
        co_await next(app, WorkerState::exited);
        // What waited for the worker lets go of it a turn later.
        for (int i = 0; i < 5000 && open_descriptors().size() > before; ++i) co_await pause(app.context(), 1ms);
        CHECK(open_descriptors().size() <= before);
    });
}

TEST_CASE("as many as eighty workers get a file each; the sender's copy may go once it was taken") {
#if defined(COHORT_SANITIZED)
    constexpr int count = 30; // each costs much more there
#else
    constexpr int count = 80;
#endif
    in_master<Loads>(plain_options(), [](Loads& app) -> Task<> {
        std::map<WorkerId, Handle> files;
        for (int i = 0; i < count; ++i) {
            const WorkerId worker = app.spawn(write_into);
            files[worker] = Handle(::memfd_create("file", MFD_CLOEXEC));
            const Load load{"hello", Handle::copy_of(files[worker].get())};
            co_await app.send_acked(worker, load, limit);
        }
        co_await app.stop();
        for (const auto& [worker, file] : files) {
            const std::string expected = "hello from worker " + std::to_string(worker);
            std::string text(expected.size() + 1, '\0');
            const auto size = ::pread(file.get(), text.data(), text.size(), 0);
            CHECK(size == static_cast<ssize_t>(expected.size()));
            CHECK(text.starts_with(expected));
        }
    });
}

TEST_CASE("large messages of one worker do not hold up the small ones of another") {
    struct Run {
        static Task<> send_much(App::Worker& self) {
            for (std::int64_t i = 0; i < 4; ++i)
                co_await say(self, std::string(8 << 20, static_cast<char>('a' + i)), i);
            co_await self.until_stopping();
        }
        static Task<> send_little(App::Worker& self) {
            for (std::int64_t i = 0; i < 1000; ++i) co_await say(self, "small", i);
            co_await self.until_stopping();
        }
    };
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId large = app.spawn(&Run::send_much);
        app.spawn(&Run::send_little);
        std::int64_t next_large = 0;
        std::int64_t next_small = 0;
        std::int64_t small_before_the_last_large = 0;
        while (next_large < 4 || next_small < 1000) {
            const auto received = co_await mail(app);
            if (received.from == large) {
                CHECK(received.message.number == next_large);
                const char expected = static_cast<char>('a' + next_large++);
                CHECK(received.message.text.find_first_not_of(expected) == std::string::npos);
                small_before_the_last_large = next_small;
            } else if (received.message.number == next_small) {
                ++next_small;
            }
        }
        CHECK(next_small == 1000);
        CHECK(small_before_the_last_large > 0);
    });
}

} // namespace
