// SPDX-License-Identifier: MIT
#include <cohort/control/client.hpp>

#include <cohort/channel_acceptor.hpp>

#include <doctest/doctest.h>

#include <support/folder.hpp>
#include <support/run_for.hpp>

#include <asio/io_context.hpp>

#include <optional>
#include <string>
#include <system_error>

using namespace cohort;
using namespace std::chrono_literals;

namespace {

using ControlServer = ChannelAcceptor<Duplex<control::Response, control::Request>>;

Task<> connect(asio::io_context& io, std::string path, std::optional<control::Client>& client) {
    client.emplace(co_await control::Client::connect(io.get_executor(), path));
}

std::error_code error_of_connecting(const std::string& path) {
    asio::io_context io;
    std::optional<control::Client> client;
    return test::error_of([&] { test::run_for(io, connect(io, path, client)); });
}

/// A master of another version: it answers everything in its own way.
Task<control::Response> answer_otherwise(const control::Request& request) {
    control::Response response;
    if (request.action == "reload") response.failure = {"another category", 7, "in other words"};
    if (request.action == "status") response.result = cohort::detail::to_bytes(std::string("a text"));
    if (request.action == "upgrade") co_await test::never();
    co_return response;
}

Task<> serve_one(ControlServer& server) {
    auto accepted = co_await server.accept();
    co_await accepted->channel.serve(&answer_otherwise);
}

template <class T>
Task<> note_error(Task<T> request, std::error_code& error) {
    try {
        co_await std::move(request);
    } catch (const std::system_error& thrown) {
        error = thrown.code();
    }
}

} // namespace

TEST_CASE("why nobody can be asked is said") {
    const test::Folder folder;
    CHECK(error_of_connecting(folder / "nobody") == std::errc::no_such_file_or_directory);
    CHECK(error_of_connecting(std::string(200, 'x')) == std::errc::filename_too_long);
    CHECK(error_of_connecting("") == Errc::bad_endpoint);
}

TEST_CASE("whatever a master answers is a result of the right shape, or an error") {
    const test::Folder folder;
    asio::io_context io;
    ControlServer server(io.get_executor(), Endpoint::unix_path(folder / "control"));
    test::start(io, serve_one(server));
    std::optional<control::Client> client;
    test::run_for(io, connect(io, folder / "control", client));
    std::error_code error;
    test::run_for(io, note_error(client->reload(), error));
    CHECK(error == Errc::call_failed);
    test::run_for(io, note_error(client->status(), error));
    CHECK(error == Errc::bad_message);
    test::run_for(io, note_error(client->call<int>("upgrade", 1, 1ms), error));
    CHECK(error == std::errc::timed_out);
    test::start(io, note_error(client->upgrade(), error));
    test::settle(io);
    client->close();
    test::run_until(io, [&] { return error != std::errc::timed_out; });
    CHECK(error == Errc::closed);
    server.close();
}
