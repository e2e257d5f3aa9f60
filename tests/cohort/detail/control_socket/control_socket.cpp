// SPDX-License-Identifier: MIT
// Who may use a control socket, and what those who do nothing there can do to those who do.
#include <cohort/detail/control_socket/control_socket.hpp>

#include <cohort/control/client.hpp>

#include <cohort/detail/control_socket/make_action.hpp>
#include <cohort/detail/share.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/folder.hpp>
#include <support/process.hpp>
#include <support/run_for.hpp>

#include <asio/io_context.hpp>

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace cohort;
using namespace cohort::detail;
using namespace std::chrono_literals;

namespace {

Task<std::string> echo(const std::string& text) { co_return text; }
Task<std::string> wait(const std::string&) {
    co_await test::never();
    co_return std::string();
}

/// A control socket without a master.
class Served {
public:
    explicit Served(ControlOptions options = {}) {
        options.path = path();
        socket_ = share<ControlSocket>(io.get_executor(), options, UniqueFd());
        socket_->add("echo", make_action<std::string>(echo));
        socket_->add("wait", make_action<std::string>(wait));
        socket_->begin();
    }
    Served(const Served&) = delete;
    Served& operator=(const Served&) = delete;
    ~Served() {
        socket_->close();
        test::settle(io);
    }

    std::string path() const { return folder_ / "private/control"; }
    ControlSocket& socket() { return *socket_; }
    /// Whether this client is answered.
    bool answers(control::Client& client) {
        std::string reply;
        test::run_for(io, ask(client, "echo", reply));
        return reply == "hello";
    }
    control::Client connect() {
        std::optional<control::Client> client;
        test::run_for(io, connect_to(io, path(), client));
        return std::move(*client);
    }
    static Task<> ask(control::Client& client, std::string action, std::string& reply) {
        try {
            const std::string text = "hello";
            reply = co_await client.call<std::string>(action, text);
        } catch (const std::system_error& error) {
            reply = error.what();
        }
    }

    asio::io_context io;

private:
    static Task<> connect_to(asio::io_context& context, std::string path, std::optional<control::Client>& client) {
        client.emplace(co_await control::Client::connect(context.get_executor(), path));
    }

    test::Folder folder_;
    std::shared_ptr<ControlSocket> socket_;
};

/// Connected, and no more than that.
UniqueFd connect_silently(const std::string& path) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
    return socket;
}

/// Whether the other side has closed, or does so within the limit.
bool ends(asio::io_context& io, int socket) {
    const auto deadline = std::chrono::steady_clock::now() + test::patience;
    char bytes[4096];
    for (;;) {
        const ssize_t count = ::recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN)) return true;
        if (std::chrono::steady_clock::now() > deadline) return false;
        io.run_one_for(1ms);
    }
}

unsigned mode_of(const std::string& path) {
    struct stat file {};
    ::stat(path.c_str(), &file);
    return file.st_mode & 07777;
}

} // namespace

TEST_CASE("the socket is for its user alone, unless others are named") {
    Served mine;
    CHECK(mode_of(mine.path()) == 0600);
    CHECK(mode_of(mine.path().substr(0, mine.path().rfind('/'))) == 0700);
    const Served ours({.users = {4'711}});
    CHECK(mode_of(ours.path()) == 0666);
    CHECK(mode_of(ours.path().substr(0, ours.path().rfind('/'))) == 0711);
    control::Client client = mine.connect();
    CHECK(mine.answers(client));
}

TEST_CASE("a stranger is refused, whatever the file's mode is, and who is named is not") {
    if (::geteuid() != 0) return;
    constexpr uid_t named = 4'711;
    for (const uid_t user : {named, uid_t{4'712}}) {
        CAPTURE(user);
        Served served({.users = {named}});
        // Only to reach it: the folder of a test is its user's.
        ::chmod(served.path().substr(0, served.path().find("/private")).c_str(), 0711);
        const pid_t child = test::fork_child([&served, user] {
            if (::setgroups(0, nullptr) != 0 || ::setresuid(user, user, user) != 0) return 2;
            asio::io_context io;
            std::string reply;
            struct Run {
                static Task<> once(asio::io_context& context, std::string path, std::string& its_reply) {
                    auto client = co_await control::Client::connect(context.get_executor(), path);
                    co_await Served::ask(client, "echo", its_reply);
                }
            };
            test::run_for(io, Run::once(io, served.path(), reply));
            return reply == "hello" ? 0 : 1;
        });
        int status = 0;
        const auto deadline = std::chrono::steady_clock::now() + test::patience;
        while (::waitpid(child, &status, WNOHANG) != child) { // its end is no event of the loop
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            served.io.run_one_for(1ms);
        }
        CHECK(WEXITSTATUS(status) == (user == named ? 0 : 1));
    }
}

TEST_CASE("who says nothing, half of something, or nonsense is not waited for, and keeps nobody out") {
    struct Row {
        const char* name;
        std::string said;
    };
    const Row rows[] = {{"nothing", ""},
                        {"half of a greeting", std::string("\x01\x00", 2)},
                        {"nonsense", "GET / HTTP/1.1\r\n\r\n"},
                        {"zeros", std::string(10'000, '\0')},
                        {"a long frame", std::string(16, '\xff')}};
    for (const Row& row : rows) {
        CAPTURE(row.name);
        Served served({.silence = 200ms});
        std::list<UniqueFd> silent;
        for (int i = 0; i != 49; ++i) {
            silent.push_back(connect_silently(served.path()));
            REQUIRE(silent.back());
            [[maybe_unused]] const auto sent = ::send(silent.back().get(), row.said.data(), row.said.size(), 0);
        }
        control::Client client = served.connect();
        CHECK(served.answers(client));
        for (const UniqueFd& each : silent) CHECK(ends(served.io, each.get()));
        CHECK(served.answers(client));
    }
}

/// Through a channel of its own: Client has nothing of this kind.
Task<> send_what_is_no_call(asio::io_context& io, std::string path, std::string& reply) {
    auto channel = co_await ControlChannel::connect(io.get_executor(), Endpoint::unix_path(path));
    const auto hash = schema_hash<std::string>();
    const control::Request unasked{"count", hash, hash, to_bytes(std::string("hello"))};
    co_await channel.send(unasked);
    const control::Request asked{"echo", hash, hash, to_bytes(std::string("hello"))};
    const control::Response response = co_await channel.call(asked);
    reply = from_bytes<std::string>(response.result);
}

TEST_CASE("a message that is no call is not begun, since its sender's end would not end it") {
    Served served;
    int begun = 0;
    const auto count = [&begun](const std::string& text) {
        ++begun;
        return echo(text);
    };
    served.socket().add("count", make_action<std::string>(count));
    std::string reply;
    test::run_for(served.io, send_what_is_no_call(served.io, served.path(), reply));
    CHECK(reply == "hello");
    CHECK(begun == 0);
}

TEST_CASE("who waits for an answer is not silent, and keeps the place") {
    std::string reply;
    Served served({.clients = 2, .silence = 50ms});
    control::Client first = served.connect();
    control::Client second = served.connect();
    test::start(served.io, Served::ask(first, "wait", reply));
    CHECK(served.answers(second));
    control::Client third = served.connect(); // in the place of the second
    CHECK(served.answers(third));
    CHECK_FALSE(served.answers(second));
    CHECK(reply.empty());
}

TEST_CASE("with no descriptor left one more client is served") {
    Served served;
    control::Client waits = served.connect();
    CHECK(served.answers(waits));
    // The connecting side is made before.
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    served.path().copy(address.sun_path, sizeof address.sun_path - 1);
    const test::DescriptorLimit none(test::lowest_free_descriptor());
    REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    CHECK(served.answers(waits));
    char greeting[64];
    const auto deadline = std::chrono::steady_clock::now() + test::patience;
    while (::recv(socket.get(), greeting, sizeof greeting, MSG_DONTWAIT) <= 0 &&
           std::chrono::steady_clock::now() < deadline)
        served.io.run_one_for(1ms);
    CHECK(std::chrono::steady_clock::now() < deadline);
}

TEST_CASE("at the end what was asked for is answered, and the file is gone") {
    std::string reply;
    Served served;
    control::Client client = served.connect();
    CHECK(served.answers(client));
    test::start(served.io, Served::ask(client, "echo", reply));
    served.socket().finish();
    test::run_until(served.io, [&] { return !reply.empty(); });
    CHECK(reply == "hello");
    CHECK(::access(served.path().c_str(), F_OK) != 0);
}

TEST_CASE("the file stays while a socket is only lent, and goes with whoever has taken it over") {
    Served served;
    control::Client client = served.connect();
    const auto lend = [&served] {
        return share<ControlSocket>(served.io.get_executor(), ControlOptions{.path = served.path()},
                                    duplicate(served.socket().listener()));
    };
    const auto is_there = [&served] { return ::access(served.path().c_str(), F_OK) == 0; };
    lend()->close(); // a master that has not become ready
    CHECK(is_there());
    CHECK(served.answers(client));
    const auto next = lend();
    served.socket().pass_on();
    next->begin();
    CHECK(is_there());
    next->close();
    test::settle(served.io);
    CHECK_FALSE(is_there());
}
