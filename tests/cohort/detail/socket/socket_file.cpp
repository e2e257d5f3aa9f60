// SPDX-License-Identifier: MIT
#include <cohort/detail/socket/socket_file.hpp>

#include <cohort/detail/system/unique_fd.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/folder.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using cohort::Endpoint;
using namespace cohort::detail;

namespace {

namespace fs = std::filesystem;

struct SocketFolder : test::Folder {
    Endpoint endpoint = Endpoint::unix_path((path / "socket").string());

    UniqueFd listen() const {
        std::error_code error;
        return open_listener(endpoint, false, 16, error);
    }
    /// Bound, as by a program that has not come to listen yet, or never will.
    UniqueFd bind() const {
        std::error_code error;
        auto socket = bind_path(to_socket_address(endpoint, error), 0600, error);
        REQUIRE(socket);
        return socket;
    }
    void leave_stale_file() const {
        bind().reset();
        REQUIRE(fs::is_socket(endpoint.path()));
    }
};

/// Children wait until all are there, then do the same thing at once, and hold the result until the last one is done.
struct Start {
    std::array<int, 2> gate{};
    std::array<int, 2> results{};
    std::array<int, 2> end{};

    Start() {
        for (auto* ends : {&gate, &results, &end}) REQUIRE(::pipe2(ends->data(), O_CLOEXEC) == 0);
    }
    ~Start() {
        for (const auto& ends : {gate, results, end})
            for (const int fd : ends)
                if (fd >= 0) ::close(fd);
    }
    static void wait(std::array<int, 2>& ends) {
        char byte = 0;
        ::close(std::exchange(ends[1], -1));
        while (::read(ends[0], &byte, 1) < 0 && errno == EINTR) {
        }
    }
    static void open(std::array<int, 2>& ends) { ::close(std::exchange(ends[1], -1)); }
};

/// What `count` processes find that listen at the same moment: 'w' for each that got the path.
std::string rush(const SocketFolder& folder, int count) {
    Start start;
    std::vector<pid_t> children;
    for (int i = 0; i < count; ++i)
        children.push_back(test::fork_child([&] {
            ::close(std::exchange(start.end[1], -1));
            Start::wait(start.gate);
            std::error_code error;
            const auto socket = open_listener(folder.endpoint, false, 16, error);
            const char result = socket ? 'w' : error == std::errc::address_in_use ? 'u' : '?';
            if (::write(start.results[1], &result, 1) != 1) return 1;
            Start::wait(start.end);
            return 0;
        }));
    Start::open(start.gate);
    std::string found;
    for (char one = 0; static_cast<int>(found.size()) < count && ::read(start.results[0], &one, 1) == 1;) found += one;
    std::error_code error;
    const auto address = to_socket_address(folder.endpoint, error);
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(client.get(), address.get(), address.size) != 0) found += " unreachable";
    Start::open(start.end);
    for (const pid_t child : children) CHECK(test::wait_for(child) == 0);
    return found;
}

} // namespace

TEST_CASE("of many programs that start on one stale path exactly one gets it") {
    constexpr int programs = 16;
    for (int round = 0; round < 10; ++round) {
        CAPTURE(round);
        const SocketFolder folder;
        if (round != 0) folder.leave_stale_file(); // the first time there is no file at all
        std::string found = rush(folder, programs);
        std::sort(found.begin(), found.end());
        CHECK(found == std::string(programs - 1, 'u') + 'w');
        CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
    }
}

TEST_CASE("a socket that somebody has bound and is about to listen on is not stale") {
    using Clock = std::chrono::steady_clock;
    const SocketFolder folder;
    for (int attempt = 0; attempt < 50; ++attempt) {
        const auto other = folder.bind();
        const auto begin = Clock::now();
        const pid_t second = test::fork_child([&] { return folder.listen() ? 1 : 0; });
        std::this_thread::sleep_for(std::chrono::milliseconds(2)); // the other program's, between bind and listen
        REQUIRE(::listen(other.get(), 1) == 0);
        const bool in_time = Clock::now() - begin < std::chrono::milliseconds(7);
        const int code = test::wait_for(second);
        fs::remove(folder.endpoint.path());
        if (!in_time) continue; // a busy machine: nobody can tell it from a dead program
        CHECK(code == 0);
        return;
    }
    MESSAGE("skipped: this machine is too busy");
}

TEST_CASE("a stale file goes, any other stays") {
    const SocketFolder folder;
    CHECK(remove_stale_file(folder.endpoint.path())); // nothing there: free
    folder.leave_stale_file();
    CHECK(remove_stale_file(folder.endpoint.path()));
    CHECK(fs::is_empty(folder.path));

    const auto live = folder.listen();
    REQUIRE(live);
    CHECK_FALSE(remove_stale_file(folder.endpoint.path()));
    const auto link = (folder.path / "link").string();
    fs::create_symlink(folder.endpoint.path(), link);
    CHECK_FALSE(remove_stale_file(link));
    const auto plain = (folder.path / "plain").string();
    std::ofstream(plain) << "data";
    CHECK_FALSE(remove_stale_file(plain));
    CHECK_FALSE(remove_stale_file(folder.path.string()));
    CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 3);
}

TEST_CASE("at the end only the file that was made is removed, and only by its maker") {
    const SocketFolder folder;
    auto first = folder.listen();
    SocketFile file(folder.endpoint);
    CHECK(test::in_child([&] {
              file.remove();
              return 0;
          }) == 0);
    CHECK(fs::exists(folder.endpoint.path()));
    fs::remove(folder.endpoint.path());
    const auto second = folder.listen(); // somebody else's, as far as the first one knows
    REQUIRE(second);
    file.remove();
    CHECK(fs::exists(folder.endpoint.path()));
    SocketFile(folder.endpoint).remove();
    CHECK_FALSE(fs::exists(folder.endpoint.path()));
    SocketFile(Endpoint(8080)).remove();
}

TEST_CASE("a folder that somebody keeps locked is no obstacle") {
    const SocketFolder folder;
    const UniqueFd lock(::open(folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(::flock(lock.get(), LOCK_EX) == 0);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(folder.listen());
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
}

TEST_CASE("whatever has the name of the lock, a path can be listened on, and no lock is left") {
    const SocketFolder folder;
    const std::string name = folder.endpoint.path() + ".lock";
    UniqueFd held;
    bool goes = true;
    SUBCASE("nothing") {}
    SUBCASE("one that a program left when it was killed") { std::ofstream(name) << "left"; }
    SUBCASE("one that a program of ours keeps for ever") {
        held = UniqueFd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        REQUIRE(::flock(held.get(), LOCK_EX) == 0);
        goes = false;
    }
    SUBCASE("a link to nowhere") {
        fs::create_symlink("nowhere", name);
        goes = false;
    }
    SUBCASE("a folder") {
        fs::create_directory(name);
        goes = false;
    }
    CHECK(folder.listen());
    CHECK(fs::exists(fs::symlink_status(name)) == !goes);
    CHECK_FALSE(fs::exists(folder.path / "nowhere"));
}
