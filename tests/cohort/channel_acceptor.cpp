// SPDX-License-Identifier: MIT
#include <cohort/channel_acceptor.hpp>

#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/faulty_system.hpp>
#include <support/folder.hpp>
#include <support/run_for.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>

using namespace std::chrono_literals;
using asio::experimental::awaitable_operators::operator||;
using cohort::Channel;
using cohort::ChannelAcceptor;
using cohort::Endpoint;
using cohort::Errc;
using cohort::Task;
using test::error_of;
using test::run_for;
using test::run_until;

namespace by_name {

struct Ask {
    std::uint64_t number = 0;
    std::string text;
};
struct Told {
    std::uint64_t number = 0;
    std::string text;
    bool loud = false;
};
struct Foreign {
    std::vector<double> values;
};

} // namespace by_name

using by_name::Ask;
using by_name::Foreign;
using by_name::Told;

namespace {

using ToServer = cohort::Duplex<Ask, Told>;
using ToClient = cohort::Duplex<Told, Ask>;
using ClientChannel = Channel<ToServer>;
using Server = ChannelAcceptor<ToClient>;
using ServedClient = std::optional<Server::Accepted>;

/// An event loop, and a path that nobody else uses.
struct Place {
    Place() { std::filesystem::permissions(folder.path, std::filesystem::perms(0755)); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    std::filesystem::path path() const { return folder.path / "socket"; }
    Endpoint endpoint(unsigned mode = 0600) const { return Endpoint::unix_path(path().string(), mode); }
    Server server(unsigned mode = 0600) { return Server(io.get_executor(), endpoint(mode)); }

    asio::io_context io;
    test::Folder folder;
};

Task<Told> answer(const Ask& ask) {
    const Told told{ask.number, ask.text + "!", true};
    co_return told;
}

Task<> serve_client(Server::Accepted client) { co_await client.channel.serve(answer); }

/// Serves everybody; clients that speak wrongly are left to themselves.
Task<> serve_all(asio::io_context& io, Server& server, int& accepted) {
    while (auto client = co_await server.accept()) {
        ++accepted;
        test::spawn(io, serve_client(std::move(*client)));
    }
}

Task<> ask_once(asio::any_io_executor executor, Endpoint endpoint, std::uint64_t number, int& answered) {
    auto client = co_await Channel<ToServer>::connect(executor, endpoint);
    const Ask ask{number, "question"};
    const Told told = co_await client.call(ask);
    if (told.number == number && told.text == "question!" && told.loud) ++answered;
}

Task<> connect(asio::any_io_executor executor, Endpoint endpoint, std::optional<ClientChannel>& client) {
    client = co_await Channel<ToServer>::connect(executor, endpoint);
}

Task<> accept_one(Server& server, ServedClient& client, bool& done) {
    client = co_await server.accept();
    done = true;
}

template <class C, class Message>
Task<> send_one(C& channel, const Message& message) {
    co_await channel.send(message);
}

template <class C>
Task<> receive_number(C& channel, std::uint64_t number) {
    const auto message = co_await channel.receive();
    CHECK((message && message->number == number));
}

/// What the next receive() throws.
template <class C>
Task<> receive_error(C& channel, std::error_code& error, std::string& what) {
    try {
        const auto message = co_await channel.receive();
        CHECK(!message);
    } catch (const std::system_error& thrown) {
        error = thrown.code();
        what = thrown.what();
    }
}

std::error_code connect_error(Place& place, const Endpoint& endpoint) {
    std::optional<ClientChannel> client;
    return error_of([&] { run_for(place.io, connect(place.io.get_executor(), endpoint, client)); });
}

std::error_code listen_error(Place& place, const Endpoint& endpoint) {
    return error_of([&] { Server another(place.io.get_executor(), endpoint); });
}

std::error_code system_error(int value) { return {value, std::system_category()}; }

/// A socket that has connected, and speaks as it likes.
cohort::detail::UniqueFd connect_raw(const Endpoint& endpoint) {
    std::error_code error;
    const auto address = cohort::detail::to_socket_address(endpoint, error);
    cohort::detail::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(socket.get(), address.get(), address.size) == 0);
    return socket;
}

/// The file of a server that died.
void leave_stale_file(const Endpoint& endpoint) {
    std::error_code error;
    cohort::detail::open_listener(endpoint, false, 1, error).reset();
    REQUIRE(!error);
}

/// The program on the other side: one message, and one call.
int run_client(const Endpoint& endpoint) {
    struct Run {
        static Task<> all(asio::any_io_executor executor, Endpoint endpoint, bool& good) {
            auto channel = co_await Channel<ToServer>::connect(executor, endpoint);
            const Ask first{1, "message"};
            co_await channel.send(first);
            const Ask second{2, "call"};
            const Told told = co_await channel.call(second);
            const auto last = co_await channel.receive();
            const auto end = co_await channel.receive();
            good = told.number == 2 && told.text == "call!" && last && last->number == 3 && !end;
        }
    };
    asio::io_context io;
    bool good = false;
    test::spawn(io, Run::all(io.get_executor(), endpoint, good), [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
    });
    io.run();
    return good ? 0 : 1;
}

Task<> serve_program(Server& server, cohort::PeerCredentials& peer) {
    auto client = co_await server.accept();
    REQUIRE(client);
    peer = client->peer;
    const auto first = co_await client->channel.receive();
    CHECK((first && first->number == 1));
    auto second = co_await client->channel.receive_mail();
    REQUIRE(second);
    CHECK(second->message.number == 2);
    const Told told{2, second->message.text + "!", false};
    co_await second->reply(told);
    const Told last{3, {}, false};
    co_await client->channel.send(last);
}

} // namespace

TEST_CASE("two programs exchange messages and calls, and each knows who the other is") {
    constexpr uid_t somebody = 4711;
    Place place;
    Server server = place.server(0666);
    const bool may_change = ::getuid() == 0;
    const pid_t child = test::fork_child([&] {
        if (may_change && (::setgid(somebody) != 0 || ::setuid(somebody) != 0)) return 2;
        return run_client(place.endpoint());
    });
    cohort::PeerCredentials peer;
    run_for(place.io, serve_program(server, peer));
    CHECK(test::wait_for(child) == 0);
    CHECK(peer.pid == child);
    CHECK(peer.uid == (may_change ? somebody : ::getuid()));
    CHECK(peer.gid == (may_change ? somebody : ::getgid()));
}

TEST_CASE("a client can ask who serves it") {
    Place place;
    Server server = place.server();
    std::optional<ClientChannel> client;
    run_for(place.io, connect(place.io.get_executor(), place.endpoint(), client));
    const auto peer = cohort::peer_credentials(client->native_handle());
    CHECK(peer.pid == ::getpid());
    CHECK(peer.uid == ::geteuid());
}

TEST_CASE("what is not connected has no peer") {
    const cohort::detail::UniqueFd lonely(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const cohort::detail::UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(error_of([&] { cohort::peer_credentials(lonely.get()); }) == system_error(ENOTCONN));
    CHECK(error_of([&] { cohort::peer_credentials(tcp.get()); }) == system_error(ENOTCONN));
    CHECK(error_of([&] { cohort::peer_credentials(-1); }) == system_error(EBADF));
}

TEST_CASE("a path has one server") {
    Place place;
    Server server = place.server();
    CHECK(listen_error(place, place.endpoint()) == system_error(EADDRINUSE));
    // The first is unharmed: its queue, its file, and what it does.
    int accepted = 0;
    int answered = 0;
    test::start(place.io, serve_all(place.io, server, accepted));
    run_for(place.io, ask_once(place.io.get_executor(), place.endpoint(), 7, answered));
    CHECK(answered == 1);
    CHECK(accepted == 2); // the other one's look whether somebody is there was a client, too
    server.close();
    test::settle(place.io);
}

TEST_CASE("what is not a Unix path, or cannot be one, is refused") {
    Place place;
    CHECK(listen_error(place, Endpoint(8080)) == Errc::bad_endpoint);
    CHECK(connect_error(place, Endpoint(8080)) == Errc::bad_endpoint);
    const auto too_long = Endpoint::unix_path("/tmp/" + std::string(200, 'x'));
    CHECK(listen_error(place, too_long) == system_error(ENAMETOOLONG));
    CHECK(connect_error(place, too_long) == system_error(ENAMETOOLONG));
    const auto nowhere = Endpoint::unix_path((place.folder.path / "no" / "folder").string());
    CHECK(listen_error(place, nowhere) == system_error(ENOENT));
}

TEST_CASE("a file that nobody serves is replaced; one of another kind is not") {
    Place place;
    leave_stale_file(place.endpoint());
    CHECK(std::filesystem::is_socket(place.path()));
    CHECK(connect_error(place, place.endpoint()) == system_error(ECONNREFUSED));
    {
        Server server = place.server();
        CHECK(connect_error(place, place.endpoint()) == std::error_code{});
    }
    std::ofstream(place.path()) << "text";
    CHECK(listen_error(place, place.endpoint()) == system_error(EADDRINUSE));
    CHECK(std::filesystem::file_size(place.path()) == 4);
}

TEST_CASE("the file goes with its server, however that ends") {
    Place place;
    { Server server = place.server(); }
    CHECK(!std::filesystem::exists(place.path()));
    Server server = place.server();
    server.close();
    CHECK(!std::filesystem::exists(place.path()));
    server.close();
    server = place.server();
    Server moved = std::move(server);
    CHECK(std::filesystem::is_socket(place.path()));
    moved = Server(place.io.get_executor(), Endpoint::unix_path((place.folder.path / "second").string()));
    CHECK(!std::filesystem::exists(place.path()));
    CHECK(std::filesystem::is_socket(place.folder.path / "second"));
}

TEST_CASE("a file that has taken the place of ours stays") {
    Place place;
    std::optional<Server> server = place.server();
    SUBCASE("another server's") {
        std::filesystem::remove(place.path());
        Server successor = place.server();
        server.reset();
        CHECK(connect_error(place, place.endpoint()) == std::error_code{});
    }
    SUBCASE("a file of another kind") {
        std::filesystem::rename(place.path(), place.folder.path / "elsewhere");
        std::ofstream(place.path()) << "text";
        server.reset();
        CHECK(std::filesystem::exists(place.path()));
    }
    SUBCASE("our own, when a forked copy of the server ends") {
        const int code = test::in_child([&] {
            server.reset();
            return 0;
        });
        CHECK(code == 0);
        CHECK(connect_error(place, place.endpoint()) == std::error_code{});
    }
}

TEST_CASE("the file has the mode of the endpoint, and the process keeps its mask") {
    Place place;
    const mode_t mask = ::umask(0022);
    for (const unsigned mode : {0600U, 0660U, 0666U, 0777U}) {
        Server server = place.server(mode);
        struct stat status {};
        REQUIRE(::stat(place.path().c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == mode);
    }
    CHECK(::umask(mask) == 0022);
}

TEST_CASE("who may not write to the file cannot connect") {
    if (::getuid() != 0) return; // needs somebody else
    Place place;
    Server server = place.server(0600);
    const int code = test::in_child([&] {
        if (::setuid(4711) != 0) return 1;
        try {
            return run_client(place.endpoint());
        } catch (const std::system_error& error) {
            return error.code() == system_error(EACCES) ? 42 : 2;
        }
    });
    CHECK(code == 42);
}

TEST_CASE("nobody is there") {
    Place place;
    CHECK(connect_error(place, place.endpoint()) == system_error(ENOENT));
    std::ofstream(place.path()) << "text";
    CHECK(connect_error(place, place.endpoint()) == system_error(ECONNREFUSED));
}

TEST_CASE("different message types are told apart at both ends, by both names") {
    struct Run {
        static Task<> all(asio::any_io_executor executor, Server& server, Endpoint endpoint) {
            auto client = co_await Channel<Foreign>::connect(executor, endpoint);
            auto served = co_await server.accept();
            const Foreign value{};
            co_await client.send(value);
            const Told told{};
            co_await served->channel.send(told);

            std::error_code error;
            std::string what;
            co_await receive_error(served->channel, error, what);
            CHECK(error == Errc::schema_mismatch);
            CHECK(what.find("by_name::Ask") != std::string::npos);
            CHECK(what.find("by_name::Foreign") != std::string::npos);
            co_await receive_error(client, error, what);
            CHECK(error == Errc::schema_mismatch);
            CHECK(what.find("by_name::Told") != std::string::npos);
            CHECK(what.find("by_name::Foreign") != std::string::npos);
        }
    };
    Place place;
    Server server = place.server();
    run_for(place.io, Run::all(place.io.get_executor(), server, place.endpoint()));
}

TEST_CASE("a client that speaks nonsense, says nothing or goes at once costs only itself") {
    Place place;
    Server server = place.server();
    int accepted = 0;
    int answered = 0;
    test::start(place.io, serve_all(place.io, server, accepted));
    const auto silent = connect_raw(place.endpoint());
    const auto loud = connect_raw(place.endpoint());
    const std::string_view nonsense = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    REQUIRE(::send(loud.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL) > 0);
    connect_raw(place.endpoint()).reset();
    for (std::uint64_t number = 1; number <= 3; ++number)
        run_for(place.io, ask_once(place.io.get_executor(), place.endpoint(), number, answered));
    CHECK(answered == 3);
    CHECK(accepted == 6);
    // Behind the greeting the loud one finds the end: nobody listens to it any more.
    char bytes[4096];
    while (::recv(loud.get(), bytes, sizeof bytes, 0) > 0) {
    }
    CHECK(::recv(silent.get(), bytes, sizeof bytes, MSG_DONTWAIT) > 0);
    server.close();
    test::settle(place.io);
}

TEST_CASE("a hundred clients at once") {
    Place place;
    Server server = place.server();
    int accepted = 0;
    int answered = 0;
    for (std::uint64_t number = 0; number < 100; ++number)
        test::start(place.io, ask_once(place.io.get_executor(), place.endpoint(), number, answered));
    test::start(place.io, serve_all(place.io, server, accepted));
    run_until(place.io, [&] { return answered == 100; });
    CHECK(accepted == 100);
    server.close();
    test::settle(place.io);
}

TEST_CASE("a client waits for a place in the queue, without holding up its loop") {
    Place place;
    std::error_code error;
    const auto listener = cohort::detail::open_listener(place.endpoint(), false, 0, error);
    REQUIRE(!error);
    std::optional<ClientChannel> first;
    std::optional<ClientChannel> second;
    run_for(place.io, connect(place.io.get_executor(), place.endpoint(), first));
    test::start(place.io, connect(place.io.get_executor(), place.endpoint(), second));
    run_for(place.io, test::sleep_for(20ms));
    CHECK(!second);
    const cohort::detail::UniqueFd accepted(cohort::detail::System::current().accept(listener.get()));
    REQUIRE(accepted);
    run_until(place.io, [&] { return second.has_value(); });
}

TEST_CASE("at a limit, or when a connection fails before it is accepted, accepting goes on by itself") {
    Place place;
    Server server = place.server();
    int accepted = 0;
    int answered = 0;
    test::start(place.io, serve_all(place.io, server, accepted));
    test::FaultySystem kernel;
    for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
        CAPTURE(error);
        const int expected = answered + 1;
        const int before = kernel.accepts;
        kernel.accept_failure = error;
        test::start(place.io, ask_once(place.io.get_executor(), place.endpoint(), 5, answered));
        run_until(place.io, [&] { return kernel.accepts >= before + 2; });
        CHECK(kernel.accepts < before + 10);
        kernel.accept_failure = 0;
        run_until(place.io, [&] { return answered == expected; });
    }
    server.close();
    test::settle(place.io);
}

TEST_CASE("other errors of accept(2): those of one connection are passed over, the rest is thrown") {
    struct Failing final : cohort::detail::System {
        int accept(int fd) noexcept override {
            if (errors.empty()) return System::accept(fd);
            errno = errors.back();
            errors.pop_back();
            return -1;
        }
        std::vector<int> errors;
        Replace installed{*this};
    };
    Place place;
    Server server = place.server();
    Failing kernel;
    const auto client = connect_raw(place.endpoint());
    ServedClient served;
    bool done = false;
    kernel.errors = {EINTR, ECONNABORTED, EPROTO};
    run_for(place.io, accept_one(server, served, done));
    CHECK(served);
    CHECK(kernel.errors.empty());
    kernel.errors = {EINVAL};
    CHECK(error_of([&] { run_for(place.io, accept_one(server, served, done)); }) == system_error(EINVAL));
}

TEST_CASE("the limit of descriptors of this very process") {
    const int code = test::in_child([] {
        Place place;
        Server server = place.server();
        int accepted = 0;
        int answered = 0;
        test::start(place.io, serve_all(place.io, server, accepted));
        test::settle(place.io);
        std::optional<ClientChannel> client;
        run_for(place.io, connect(place.io.get_executor(), place.endpoint(), client));
        run_until(place.io, [&] { return accepted == 1; });

        const auto waiting = connect_raw(place.endpoint());
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        const rlimit none{1, limit.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &none);
        test::FaultySystem counting;
        run_until(place.io, [&] { return counting.accepts >= 3; });
        const bool held_up = accepted == 1;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        run_until(place.io, [&] { return accepted == 2; });
        run_for(place.io, ask_once(place.io.get_executor(), place.endpoint(), 5, answered));
        return held_up && answered == 1 ? 0 : 1;
    });
    CHECK(code == 0);
}

TEST_CASE("accept() that is given up loses no client") {
    struct Run {
        static Task<> accept(Server& server, int count, bool timer_first, int& accepted, int& given_up) {
            std::mt19937 random(7);
            while (accepted < count) {
                const std::chrono::microseconds time(random() % 200);
                ServedClient client;
                if (timer_first) {
                    auto result = co_await (test::sleep_for(time) || server.accept());
                    if (result.index() == 1) client = std::move(std::get<1>(result));
                } else {
                    auto result = co_await (server.accept() || test::sleep_for(time));
                    if (result.index() == 0) client = std::move(std::get<0>(result));
                }
                client ? ++accepted : ++given_up;
            }
        }
        static Task<> connect(asio::any_io_executor executor, Endpoint endpoint, int count,
                              std::vector<ClientChannel>& all) {
            std::mt19937 random(8);
            while (all.size() < static_cast<std::size_t>(count)) {
                auto client = co_await Channel<ToServer>::connect(executor, endpoint);
                all.push_back(std::move(client));
                co_await test::sleep_for(std::chrono::microseconds(random() % 200));
            }
        }
    };
    for (const bool timer_first : {false, true}) {
        Place place;
        Server server = place.server();
        int accepted = 0;
        int given_up = 0;
        std::vector<ClientChannel> clients;
        auto connecting = Run::connect(place.io.get_executor(), place.endpoint(), 200, clients);
        test::start(place.io, test::when_positive(given_up, std::move(connecting)));
        run_for(place.io, Run::accept(server, 200, timer_first, accepted, given_up));
        CHECK(accepted == 200);
        CHECK(given_up > 0);
    }
}

TEST_CASE("close() ends what waits in accept(), and those in the queue see the end") {
    Place place;
    std::optional<Server> server = place.server();
    ServedClient first;
    ServedClient second;
    bool first_done = false;
    bool second_done = false;
    test::start(place.io, accept_one(*server, first, first_done));
    test::start(place.io, accept_one(*server, second, second_done));
    test::settle(place.io);
    std::optional<ClientChannel> client;
    run_for(place.io, connect(place.io.get_executor(), place.endpoint(), client));
    run_until(place.io, [&] { return first_done || second_done; });
    CHECK(first.has_value() != second.has_value());

    const auto queued = connect_raw(place.endpoint());
    SUBCASE("closed") { server->close(); }
    SUBCASE("destroyed") { server.reset(); }
    run_until(place.io, [&] { return first_done && second_done; });
    CHECK(first.has_value() != second.has_value());
    char byte = 0;
    CHECK(::recv(queued.get(), &byte, 1, 0) <= 0);
    // A channel that was accepted goes on.
    ClientChannel& mine = *client;
    auto& served = first ? first->channel : second->channel;
    const Ask ask{9, "still"};
    run_for(place.io, send_one(mine, ask));
    run_for(place.io, receive_number(served, 9));
}

TEST_CASE("channels by name over shared memory") {
    struct Run {
        static Task<> all(asio::any_io_executor executor, Endpoint endpoint) {
            ChannelAcceptor<Ask, cohort::SharedMemory> server(executor, endpoint);
            auto client = co_await Channel<Ask, cohort::SharedMemory>::connect(executor, endpoint);
            auto served = co_await server.accept();
            const Ask ask{1, std::string(1000, 'x')};
            co_await client.send(ask);
            const auto received = co_await served->channel.receive();
            CHECK((received && received->text == ask.text));
            co_await served->channel.send(ask);
            const auto back = co_await client.receive();
            CHECK((back && back->number == 1));
        }
    };
    Place place;
    run_for(place.io, Run::all(place.io.get_executor(), place.endpoint()));
}
