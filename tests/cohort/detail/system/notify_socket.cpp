// SPDX-License-Identifier: MIT
#include <cohort/detail/system/notify_socket.hpp>

#include <cohort/detail/system/system.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/service_manager.hpp>

#include <cstdlib>
#include <string>

#include <unistd.h>

using namespace cohort::detail;
using namespace std::chrono_literals;
using test::ServiceManager;

namespace {

void set(const char* name, const std::string& value) {
    if (value.empty())
        ::unsetenv(name);
    else
        ::setenv(name, value.c_str(), 1);
}

bool is_set(const char* name) { return std::getenv(name) != nullptr; }

} // namespace

TEST_CASE("what a service manager has put into the environment is read, and is not there afterwards") {
    const std::string own = "own"; // stands for the number of the process
    struct Row {
        const char* address;
        std::string process;
        const char* interval;
        long watchdog;
    };
    const Row rows[] = {
        {"", "", "", 0},
        {"/run/notify", "", "", 0},
        {"/run/notify", "", "500000", 500'000},
        {"@notify", own, "500000", 500'000},
        {"/run/notify", "1", "500000", 0},
        {"/run/notify", "nonsense", "500000", 0},
        {"/run/notify", "", "0", 0},
        {"/run/notify", "", "-5", 0},
        {"/run/notify", "", "5s", 0},
        {"/run/notify", "", "99999999999999999999", 0},
    };
    for (const Row& row : rows) {
        CAPTURE(row.process);
        CAPTURE(row.interval);
        const int code = test::in_child([&row, &own] {
            set("NOTIFY_SOCKET", row.address);
            set("WATCHDOG_PID", row.process == own ? std::to_string(::getpid()) : row.process);
            set("WATCHDOG_USEC", row.interval);
            const ServiceEnvironment found = take_service_environment();
            if (found.address != row.address) return 1;
            if (found.watchdog.count() != row.watchdog) return 2;
            if (is_set("NOTIFY_SOCKET") || is_set("WATCHDOG_PID") || is_set("WATCHDOG_USEC")) return 3;
            return take_service_environment().address.empty() ? 0 : 4;
        });
        CHECK(code == 0);
    }
}

TEST_CASE("a child that becomes the service gets it back, with its own number") {
    const int code = test::in_child([] {
        set("NOTIFY_SOCKET", "/run/notify");
        set("WATCHDOG_PID", std::to_string(::getpid()));
        set("WATCHDOG_USEC", "500000");
        take_service_environment();
        return test::in_child([] {
            restore_service_environment();
            const ServiceEnvironment found = take_service_environment();
            return found.address == "/run/notify" && found.watchdog == 500ms ? 0 : 1;
        });
    });
    CHECK(code == 0);
    const int without = test::in_child([] {
        restore_service_environment();
        return is_set("NOTIFY_SOCKET") || is_set("WATCHDOG_USEC") ? 1 : 0;
    });
    CHECK(without == 0);
}

TEST_CASE("a datagram reaches whoever has bound the path, or the abstract name") {
    for (const auto name : {ServiceManager::Name::path, ServiceManager::Name::abstract}) {
        ServiceManager manager(name);
        const NotifySocket socket(manager.address());
        REQUIRE(socket);
        CHECK_FALSE(socket.send("READY=1\nSTATUS=two words"));
        const test::Notification got = manager.next("READY=1");
        CHECK(got.text == "READY=1\nSTATUS=two words");
        CHECK(got.from == ::getpid());
    }
}

TEST_CASE("nothing is sent, and nothing waits, where nobody listens or has room") {
    CHECK_FALSE(NotifySocket(""));
    CHECK_FALSE(NotifySocket("").send("READY=1"));
    CHECK_FALSE(NotifySocket("relative"));
    CHECK_FALSE(NotifySocket("@"));
    CHECK_FALSE(NotifySocket("/" + std::string(200, 'x')));
    CHECK(NotifySocket("/nonexistent/notify").send("READY=1") == std::errc::no_such_file_or_directory);
    CHECK(NotifySocket("@nobody has bound this").send("READY=1") == std::errc::connection_refused);
    const ServiceManager manager;
    manager.fill();
    CHECK(would_block(NotifySocket(manager.address()).send("READY=1").value()));
}

TEST_CASE("a longest address is one whole") {
    const std::string name = "@" + std::string(106, 'n');
    CHECK(NotifySocket(name));
    CHECK_FALSE(NotifySocket(name + "n"));
}
