// SPDX-License-Identifier: MIT
#include <cohort/detail/system/pid_file.hpp>

#include <cohort/detail/system/system.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/folder.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace cohort::detail;

namespace {

std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string own_number() { return std::to_string(::getpid()) + "\n"; }

/// Why there is none; empty: there is.
std::pair<std::error_code, std::string> refusal(const std::string& path) {
    try {
        const PidFile file(path);
        return {};
    } catch (const std::system_error& error) {
        return {error.code(), error.what()};
    }
}

TEST_CASE("a pid file has the number of its process, and goes with it") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    {
        const PidFile file(path);
        CHECK(content(path) == own_number());
        CHECK(std::filesystem::directory_iterator(folder.path) != std::filesystem::directory_iterator());
    }
    CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("a second instance is refused with a sentence that names the first, and does it no harm") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    const PidFile first(path);
    for (int i = 0; i != 3; ++i) {
        const auto [error, what] = refusal(path);
        CHECK(error == std::errc::device_or_resource_busy);
        CHECK(what ==
              "pid file " + path + ": process " + std::to_string(::getpid()) + " has it: Device or resource busy");
        CHECK(content(path) == own_number());
    }
}

TEST_CASE("what a process has left that is gone is taken, whatever is in it") {
    for (const char* text : {"", "1\n", "99999999999999999999", "no number"}) {
        const test::Folder folder;
        const std::string path = folder / "pid";
        std::ofstream(path) << text;
        const PidFile file(path);
        CHECK(content(path) == own_number());
    }
    const test::Folder folder;
    const std::string path = folder / "pid";
    const int code = test::in_child([&path] {
        new PidFile(path); // it ends without a word
        return 0;
    });
    CHECK(code == 0);
    CHECK(content(path) != "");
    const PidFile file(path);
    CHECK(content(path) == own_number());
}

TEST_CASE("a file that cannot be made, or is none, is an error that says so") {
    const test::Folder folder;
    CHECK(refusal("/nonexistent/pid").first == std::errc::no_such_file_or_directory);
    CHECK(refusal("/nonexistent/pid").second == "pid file /nonexistent/pid: No such file or directory");
    CHECK(refusal(folder / "").first == std::errc::is_a_directory);
    const std::string pipe = folder / "pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    CHECK(refusal(pipe).first == std::errc::invalid_argument);
    std::filesystem::create_symlink("elsewhere", folder / "link");
    CHECK(refusal(folder / "link").first == std::errc::too_many_symbolic_link_levels);
    CHECK_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

TEST_CASE("only the process that has it removes it, and only if no other file has taken its place") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    {
        PidFile file(path);
        const int code = test::in_child([&file] { // a copy of the object goes with a forked child
            const PidFile copy = std::move(file);
            return 0;
        });
        CHECK(code == 0);
        CHECK(content(path) == own_number());
        std::filesystem::remove(path);
        std::ofstream(path) << "another";
    }
    CHECK(content(path) == "another");
}

TEST_CASE("of many that start at once one has it") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    for (const bool is_stale : {false, true}) {
        if (is_stale) std::ofstream(path) << "1\n";
        std::vector<pid_t> children;
        int gates[2];
        REQUIRE(::pipe(gates) == 0);
        int done[2];
        REQUIRE(::pipe(done) == 0);
        for (int i = 0; i != 8; ++i)
            children.push_back(test::fork_child([&] {
                char byte = 0;
                ::close(gates[1]);
                ::close(done[1]);
                [[maybe_unused]] auto size = ::read(gates[0], &byte, 1); // until the gate opens
                const bool has_it = [&path, &done, &byte] {
                    try {
                        const PidFile file(path);
                        [[maybe_unused]] const auto waited = ::read(done[0], &byte, 1); // until all have tried
                        return content(path) == own_number();
                    } catch (const std::system_error& error) {
                        if (error.code() != std::errc::device_or_resource_busy) ::_exit(9);
                        return false;
                    }
                }();
                return has_it ? 1 : 0;
            }));
        ::close(gates[1]);
        int refused = 0;
        int owners = 0;
        // All but one end by themselves.
        std::vector<pid_t> left = children;
        for (int i = 0; i != 7; ++i) {
            siginfo_t info{};
            REQUIRE(::waitid(P_ALL, 0, &info, WEXITED) == 0);
            refused += info.si_status == 0;
            std::erase(left, info.si_pid);
        }
        ::close(done[1]);
        REQUIRE(left.size() == 1);
        owners += test::wait_for(left.front()) == 1;
        CHECK(refused == 7);
        CHECK(owners == 1);
        for (const int fd : {gates[0], done[0]}) ::close(fd);
        CHECK_FALSE(std::filesystem::exists(path));
    }
}

TEST_CASE("it goes to another process without a moment in which a third could have it") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    PidFile before(path);
    const std::string number_before = content(path);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t next = test::fork_child([&] {
        PidFile after(path, duplicate(before.descriptor()));
        const auto step = [&ends] {
            char byte = 0;
            return ::read(ends[0], &byte, 1) == 1;
        };
        if (!step()) return 1;
        after.take_over();
        if (content(path) != own_number() || refusal(path).first != std::errc::device_or_resource_busy) return 2;
        return 0;
    });
    CHECK(content(path) == number_before); // until it is told to
    CHECK(refusal(path).first == std::errc::device_or_resource_busy);
    before.leave();
    REQUIRE(::write(ends[1], "1", 1) == 1);
    CHECK(test::wait_for(next) == 0);
    for (const int fd : ends) ::close(fd);
    CHECK_FALSE(std::filesystem::exists(path)); // by the next one; it goes before the one before does here
}

TEST_CASE("a successor that has not taken over leaves it where it is") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    const PidFile before(path);
    { const PidFile after(path, duplicate(before.descriptor())); }
    CHECK(content(path) == own_number());
    CHECK(refusal(path).first == std::errc::device_or_resource_busy);
}

TEST_CASE("a file that somebody has removed is made again by who takes over, another's is left alone") {
    const test::Folder folder;
    const std::string path = folder / "pid";
    PidFile before(path);
    PidFile after(path, duplicate(before.descriptor()));
    std::filesystem::remove(path);
    before.leave();
    SUBCASE("nobody has it") {
        after.take_over();
        CHECK(content(path) == own_number());
    }
    SUBCASE("another has it") {
        const PidFile other(path);
        CHECK_THROWS_AS(after.take_over(), std::system_error);
        CHECK(content(path) == own_number());
    }
}

TEST_CASE("a path becomes one from the root") {
    CHECK(absolute_path("") == "");
    CHECK(absolute_path("/run/./app.pid") == "/run/app.pid");
    CHECK(absolute_path("app.pid") == (std::filesystem::current_path() / "app.pid").native());
}

} // namespace
